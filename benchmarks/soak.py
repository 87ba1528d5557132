"""Many requests at 32 clients: which fail, whether memory grows, what a killed worker costs.

    python benchmarks/soak.py ARTIFACT IMAGES [--requests 10000] [--mixed] [--kill]

Half of the requests go to ``/v1/predict``, half to ``/v1/explain``. The slope is that of a line
through the memory that only the server's processes hold (USS), over the last half of the requests:
before, allocator and caches fill. With ``--kill`` one worker is killed with SIGKILL half way; it is
back once another one in its place holds a client's connection. With ``--mixed`` clients of gRPC,
slow ones and ones that go away ask beside them. Ends with 1 where a promise is
broken.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from load import drive, post
from others import Others
from servers import Server, free_port, protohead, running

from serving import load_artifact
from serving.artifact.layout import image_shape

CLIENTS = 32
SUFFIXES = {".jpg", ".jpeg"}
SAMPLES = 60
FLAT = 0.5  # MiB for 1,000 requests; a leak of one image a request would be hundreds
BACK = 5.0  # seconds


@dataclass
class Watch:
    """What is seen of a server while requests run.

    Attributes:
        server: The server.
        count: Requests in all.
        kill: Whether to kill a worker half way.
        memory: (requests done, bytes) along the way.
        back: Seconds until the killed worker's successor served; None until then.
    """

    server: Server
    count: int
    kill: bool
    memory: list[tuple[int, int]] = field(default_factory=list)
    back: float | None = None
    _rescue: threading.Thread | None = None

    def __call__(self, done: int) -> None:
        """Takes a sample where one is due, and kills where that is due."""
        if done % max(1, self.count // SAMPLES) == 0:
            self.memory.append((done, self.server.memory()))
        if self.kill and done == self.count // 2:
            before = set(self.server.processes())
            self.server.workers()[0].kill()
            self._rescue = threading.Thread(target=self._wait_for_successor, args=(before,))
            self._rescue.start()

    def _wait_for_successor(self, before: set[psutil.Process]) -> None:
        start = time.monotonic()
        while time.monotonic() - start < 12 * BACK:
            for process in set(self.server.processes()) - before:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if any(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections()):
                        self.back = time.monotonic() - start
                        return
            time.sleep(0.1)

    def finish(self) -> None:
        """Waits for what is still watched."""
        if self._rescue:
            self._rescue.join()

    def slope(self) -> float:
        """Growth in MiB for 1,000 requests, over the last half."""
        late = [(done, held) for done, held in self.memory if done > self.count / 2]
        done, held = np.array(late, dtype=np.float64).T
        return float(np.polyfit(done, held, 1)[0] * 1000 / 2**20)


def _input_of(artifact: Path) -> tuple[tuple[int, ...], str]:
    """The shape of one input, and the name of the model."""
    manifest = load_artifact(artifact).manifest
    taken = manifest.input.preprocessing
    shape = image_shape(taken.layout, len(taken.channels), taken.size)
    return shape, Path(manifest.source.file).stem


def main() -> None:
    """Runs the requests and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("images", type=Path, help="folder of JPEG photographs")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mixed", action="store_true", help="clients of other kinds beside them")
    parser.add_argument("--kill", action="store_true", help="kill a worker half way")
    options = parser.parse_args()
    bodies = [p.read_bytes() for p in sorted(options.images.rglob("*")) if p.suffix in SUFFIXES]
    if not bodies:
        parser.error(f"{options.images}: expected JPEG photographs, found none")
    requests = [
        post(route, body, "image/jpeg")
        for body in bodies[:64]
        for route in ("/v1/predict", "/v1/explain")
    ]
    port, grpc_port = free_port(), free_port()
    words = [
        *protohead(options.artifact, port, options.workers),
        *("--grpc-port", str(grpc_port)),
    ]
    with running(words, port) as server, contextlib.ExitStack() as beside:
        others = Others(port, grpc_port, requests[1], *_input_of(options.artifact))
        if options.mixed:
            beside.enter_context(others.asking())
        watch = Watch(server, options.requests, options.kill)
        outcome = drive(
            port, requests, count=options.requests, clients=CLIENTS, reuse=50, progress=watch
        )
        watch.finish()
    p50, p99 = np.percentile(outcome.latencies, [50, 99]) * 1e3
    print(f"requests          {options.requests} at {CLIENTS} clients, {options.workers} workers")
    print(f"requests/s        {outcome.throughput:.1f}")
    print(f"latency, ms       {p50:.0f} median, {p99:.0f} at 99%")
    print(f"failed            {len(outcome.failures)} {sorted(set(outcome.failures))[:5]}")
    print(
        f"memory, MiB       {watch.memory[0][1] / 2**20:.0f} to {watch.memory[-1][1] / 2**20:.0f}"
    )
    if options.mixed:
        print(f"beside them       {dict(others.done)}, failed {dict(others.failed)}")
    broken = [bool(others.failed) and not options.kill]
    if not options.kill:  # a worker that starts anew has its memory to fill again
        broken.append(abs(watch.slope()) > FLAT)
        print(f"slope             {watch.slope():+.3f} MiB for 1,000 requests")
    else:
        print(f"killed worker     back after {watch.back and round(watch.back, 1)} s")
        broken.append(watch.back is None or watch.back > BACK)
    broken.append(len(outcome.failures) > (CLIENTS if options.kill else 0))
    sys.exit(any(broken))


if __name__ == "__main__":
    main()
