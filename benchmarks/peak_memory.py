"""What a worker still holds after a peak, by the settings of glibc's allocator.

    python benchmarks/peak_memory.py ARTIFACT IMAGES [--pixels 40000000] [--forms WEBP]

For each setting one worker runs, all at the same time, and takes turns. It answers ordinary
photographs, then nine pictures of many pixels, three at once, then ordinary ones again. The table
has its memory (RSS) before, at the peak and at the end, and the CPU time of an ordinary request
beside that of the first setting: the median of the ratios over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import statistics
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
from load import drive, post
from PIL import Image
from servers import free_port, running

from serving.process.settings import Settings
from serving.web.launch import command

_ARENAS = {"MALLOC_ARENA_MAX": "2"}
VARIANTS: dict[str, dict[str, str]] = {
    "two arenas": _ARENAS,
    "two arenas, mmap from 4 MiB": {**_ARENAS, "MALLOC_MMAP_THRESHOLD_": str(2**22)},
    "two arenas, mmap from 4 MiB, trim from 16 MiB": {
        **_ARENAS,
        "MALLOC_MMAP_THRESHOLD_": str(2**22),
        "MALLOC_TRIM_THRESHOLD_": str(2**24),
    },
    "glibc as it comes": {},
}
LARGE = 9
AT_ONCE = 3
ORDINARY = 200


class Worker:
    """A server of one worker, under one setting."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process, self._port = process, port
        self.before = self.peak = self.after = 0

    def held(self) -> int:
        """Its memory now, in bytes."""
        return int(self._process.memory_info().rss)

    def ask(self, requests: list[bytes], count: int, clients: int) -> float:
        """Send requests; the CPU seconds of one."""
        begun = sum(self._process.cpu_times()[:2])
        outcome = drive(self._port, requests, count=count, clients=clients)
        if outcome.failures:
            raise RuntimeError(f"expected answers, got {outcome.failures[:3]}")
        return (sum(self._process.cpu_times()[:2]) - begun) / count

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Notes the largest memory until the block ends."""
        end = threading.Event()

        def look() -> None:
            while not end.wait(0.01):
                self.peak = max(self.peak, self.held())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def _large(side: int, forms: list[str]) -> list[bytes]:
    picture = Image.linear_gradient("L").resize((side, side)).convert("RGB")
    requests = []
    for form in forms:
        content = io.BytesIO()
        picture.save(content, form, **({"compress_level": 1} if form == "PNG" else {}))
        requests.append(post("/v1/explain", content.getvalue(), f"image/{form.lower()}"))
    return requests


def _worker(stack: contextlib.ExitStack, artifact: Path, variant: dict[str, str]) -> Worker:
    port = free_port()
    settings = Settings(artifact=artifact, provider="cpu", port=port, workers=1, threads=1)
    pairs = {**settings.to_environment(), **variant}
    # Not through `protohead serve`, which chooses the allocator's settings itself.
    words = ["env", *(f"{name}={value}" for name, value in pairs.items()), *command(settings)]
    (process,) = stack.enter_context(running(words, port)).workers()
    return Worker(process, port)


def _turns(workers: list[Worker], requests: list[bytes], first: int) -> list[float]:
    """The cost of an ordinary request with each worker; who begins changes."""
    costs = [0.0] * len(workers)
    for turn in range(len(workers)):
        number = (first + turn) % len(workers)
        costs[number] = workers[number].ask(requests, ORDINARY, 4)
    return costs


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("images", type=Path, help="folder of JPEG photographs")
    parser.add_argument("--pixels", type=int, default=40_000_000, help="of a large picture")
    parser.add_argument("--forms", nargs="+", default=["PNG", "JPEG", "WEBP"])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    paths = sorted(options.images.rglob("*.jp*g"))[:64]
    if not paths:
        parser.error(f"{options.images}: expected JPEG photographs, found none")
    ordinary = [post("/v1/explain", path.read_bytes(), "image/jpeg") for path in paths]
    large = _large(math.isqrt(options.pixels), options.forms)
    with contextlib.ExitStack() as stack:
        workers = [_worker(stack, options.artifact.absolute(), v) for v in VARIANTS.values()]
        for worker in workers:
            worker.ask(ordinary, 2 * ORDINARY, 8)
            worker.before = worker.held()
            with worker.watched():
                worker.ask(large, LARGE, AT_ONCE)
        rounds = [_turns(workers, ordinary, first) for first in range(options.rounds)]
        for worker in workers:
            worker.after = worker.held()
    print("| setting | before, MiB | peak | after | CPU of a request |")
    print("| --- | --- | --- | --- | --- |")
    for number, (name, worker) in enumerate(zip(VARIANTS, workers, strict=True)):
        ratio = statistics.median(costs[number] / costs[0] for costs in rounds)
        memory = (f"{x / 2**20:.0f}" for x in (worker.before, worker.peak, worker.after))
        print(f"| {name} | {' | '.join(memory)} | {ratio:.2f} x |")


if __name__ == "__main__":
    sys.exit(main())
