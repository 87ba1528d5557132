"""Peak memory of an export by its number of classes: it must not grow with them.

    python benchmarks/memory.py MODEL DATA --classes 10 100

DATA holds one folder of images for each of some classes; they are linked again under other labels
until there are as many as asked for. Each export is a process of its own; the figure is the largest
resident memory that the kernel saw in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from exporter.images.dataset import read_labels


def export(model: Path, data: Path, labels: list[str], count: int, folder: Path) -> float:
    """Export ``count`` classes in a child process; its peak memory in MiB."""
    sources = sorted(path for path in data.iterdir() if path.is_dir())
    linked = folder / f"data{count}"
    linked.mkdir()
    for index, label in enumerate(labels[:count]):
        (linked / label).symlink_to(sources[index % len(sources)].resolve())
    names = folder / "labels.json"
    names.write_text(json.dumps(labels))
    command = [sys.executable, "-m", "exporter.cli", "export", str(model), "--data", str(linked)]
    command += ["--out", str(folder / f"artifact{count}"), "--labels", str(names)]
    child = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)]
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"the export of {count} classes failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="with preprocess.json and labels.json beside it")
    parser.add_argument("data", type=Path)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    options = parser.parse_args()
    labels = list(read_labels(options.model.with_name("labels.json")))
    print("| classes | peak memory, MiB |\n| ------- | ---------------- |")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.classes:
            peak = export(options.model, options.data, labels, count, Path(folder))
            print(f"| {count} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
