"""What a server on CUDA answers in a second, beside one on the CPU of the same machine.

    python benchmarks/gpu_serve.py ARTIFACT IMAGES [--workers 1 2 4]

IMAGES holds photographs at any depth. The server on the CPU has a worker for each core with one
thread each, as by default; that on CUDA as many as ``--workers`` says. One runs at a time; the
figures are the median over rounds. The generator of load shares the cores with them.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

from load import Outcome, drive, post
from serve_cost import EXPLAIN, PREDICT, SUFFIXES
from servers import free_port, protohead, running


def measure(
    artifact: Path, provider: str, workers: int, bodies: list[bytes], options: argparse.Namespace
) -> list[str]:
    """A line of the table for each route."""
    port, lines = free_port(), []
    with running(protohead(artifact, port, workers, provider), port) as server:
        for route in (PREDICT, EXPLAIN):
            requests = [post(route, body, "image/jpeg") for body in bodies]
            _drive(port, requests, options.requests, options.clients)  # warms up
            before = server.cpu_seconds()
            turns = [
                _drive(port, requests, options.requests, options.clients)
                for _ in range(options.rounds)
            ]
            cpu = (server.cpu_seconds() - before) / options.rounds / options.requests * 1e3
            throughput = statistics.median(turn.throughput for turn in turns)
            latency = statistics.median(statistics.median(turn.latencies) for turn in turns) * 1e3
            alone = _drive(port, requests, options.requests // 4, 1)
            lines.append(
                f"| {provider} | {workers} | {route} | {throughput:.0f} | {latency:.1f} | "
                f"{statistics.median(alone.latencies) * 1e3:.1f} | {cpu:.2f} |"
            )
    return lines


def _drive(port: int, requests: list[bytes], count: int, clients: int) -> Outcome:
    outcome = drive(port, requests, count=count, clients=clients)
    if outcome.failures:
        raise SystemExit(f"{len(outcome.failures)} requests failed: {outcome.failures[0]}")
    return outcome


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("images", type=Path, help="folder of JPEG photographs")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="on CUDA")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=1000, help="of each route in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = sorted(path for path in options.images.rglob("*") if path.suffix in SUFFIXES)[:64]
    bodies = [path.read_bytes() for path in paths]
    if not bodies:
        parser.error(f"{options.images}: expected JPEG photographs, found none")
    print(
        f"| runs on | workers | route | requests/s, {options.clients} clients | latency, ms | "
        "latency alone, ms | CPU, ms a request |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    cores = len(os.sched_getaffinity(0))
    for provider, workers in [("cpu", cores), *(("cuda", count) for count in options.workers)]:
        for line in measure(options.artifact, provider, workers, bodies, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
