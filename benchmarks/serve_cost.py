"""What serving costs: protohead's routes against a bare FastAPI and onnxruntime server.

    python benchmarks/serve_cost.py MODEL ARTIFACT IMAGES

MODEL is the source of ARTIFACT; IMAGES holds photographs at any depth. Both servers run at the
same time, one worker with one onnxruntime thread each, and take turns in every round, so that a
busy machine slows all of them alike. CPU time is that of a server's processes; the tables show
the median over rounds, and the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from load import drive, post
from servers import Server, bare, free_port, protohead, running

BARE, PREDICT, EXPLAIN = "bare FastAPI, plain prediction", "/v1/predict", "/v1/explain"
CLIENTS = (8, 32)
SUFFIXES = {".jpg", ".jpeg"}


@dataclass(frozen=True)
class Sample:
    """One turn of one route."""

    cpu: float  # ms a request
    throughput: float  # requests a second


def sample(server: Server, requests: list[bytes], count: int, clients: int) -> Sample:
    """Drives one route for a while."""
    before = server.cpu_seconds()
    outcome = drive(server.port, requests, count=count, clients=clients)
    if outcome.failures:
        raise SystemExit(f"{len(outcome.failures)} requests failed: {outcome.failures[0]}")
    return Sample((server.cpu_seconds() - before) / count * 1e3, outcome.throughput)


def print_table(samples: dict[tuple[str, int], list[Sample]]) -> None:
    """Prints one line for each route and number of clients."""
    print("| route | clients | CPU, ms a request | x bare | requests/s | x bare |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (route, clients), turns in samples.items():
        pairs = list(zip(turns, samples[BARE, clients], strict=True))
        cpu = statistics.median(turn.cpu for turn in turns)
        throughput = statistics.median(turn.throughput for turn in turns)
        cost = statistics.median(turn.cpu / base.cpu for turn, base in pairs)
        gain = statistics.median(turn.throughput / base.throughput for turn, base in pairs)
        print(
            f"| {route} | {clients} | {cpu:.2f} | {cost:.3f} | {throughput:.1f} | {gain:.3f} |",
            flush=True,
        )


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the source model, ONNX")
    parser.add_argument("artifact", type=Path, help="its artifact")
    parser.add_argument("images", type=Path, help="folder of JPEG photographs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=150, help="of each route in a round")
    options = parser.parse_args()
    paths = sorted(path for path in options.images.rglob("*") if path.suffix in SUFFIXES)[:64]
    bodies = [path.read_bytes() for path in paths]
    if not bodies:
        parser.error(f"{options.images}: expected JPEG photographs, found none")
    ports = free_port(), free_port()
    with (
        running(bare(options.model, options.artifact, ports[0]), ports[0]) as plain,
        running(protohead(options.artifact, ports[1], workers=1), ports[1]) as ours,
    ):
        routes = {
            BARE: (plain, [post("/predict", body, "image/jpeg") for body in bodies]),
            PREDICT: (ours, [post(PREDICT, body, "image/jpeg") for body in bodies]),
            EXPLAIN: (ours, [post(EXPLAIN, body, "image/jpeg") for body in bodies]),
        }
        for server, requests in routes.values():
            sample(server, requests, count=len(requests), clients=1)  # warms up
        samples: dict[tuple[str, int], list[Sample]] = {}
        for clients in CLIENTS:
            for turn in range(options.rounds):
                order = list(routes) if turn % 2 == 0 else list(reversed(routes))
                for route in order:
                    measured = sample(*routes[route], options.requests, clients)
                    samples.setdefault((route, clients), []).append(measured)
    print_table(dict(sorted(samples.items(), key=lambda item: item[0][1])))


if __name__ == "__main__":
    main()
