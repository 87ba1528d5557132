"""What is foretold grows with what is asked for, and is words that people read."""

from dataclasses import replace

import pytest

from exporter.inspection.forecast import DryRun, Job, Measured, forecast

JOB = Job(images=(40, 3, 0), least=5, weights=1000, head=60, graphs=0, golden=10, verified=43)
MEASURED = Measured(
    begun=2.0,
    read=0.1,
    computed=0.0,
    split=((16, 3.0), (32, 5.0)),
    held=((16, 200.0), (32, 360.0)),
    before=10_000,
    peak=10_500,
    files=77,
)


def test_time_is_that_of_reading_and_of_each_class_that_is_split():
    # 1 s a class and 1/8 s an image, of the class that has enough of them.
    assert forecast(JOB, MEASURED, 32).seconds == pytest.approx(2 + 4.3 + 1 + 40 / 8)


def test_where_half_of_the_images_took_longer_nothing_is_below_zero():
    slower = replace(MEASURED, split=((16, 5.0), (32, 3.0)))
    assert forecast(JOB, slower, 32).seconds == pytest.approx(2 + 4.3 + 3)


def test_memory_is_that_of_the_larger_stage():
    assert forecast(JOB, MEASURED, 32).memory == 10_000 + 3 * 1000  # verification
    many = replace(JOB, images=(1032,))
    assert forecast(many, MEASURED, 32).memory == 10_500 + 1000 * 10  # 10 bytes an image
    assert forecast(JOB, replace(MEASURED, peak=None), 32).memory is None


def test_disk_is_graphs_prototypes_the_golden_batch_and_evidence():
    assert forecast(JOB, MEASURED, 32).disk == 2 * (1000 + 240) + 240 + 40 + 2 * 77
    assert forecast(replace(JOB, graphs=1), MEASURED, 32).disk == 3 * 1240 + 240 + 40 + 2 * 77


@pytest.mark.parametrize(
    ("seconds", "memory", "disk", "words"),
    [
        (0.2, 3 * 2**20, 900, ("1 s", "3 MiB", "900 bytes")),
        (89, 1500 * 2**20, 5e6, ("89 s", "1.46 GiB", "4.77 MiB")),
        (600, 2**30, 3e3, ("10 min", "1 GiB", "2.93 KiB")),
        (7200, 2**33, 9e9, ("2.0 h", "8 GiB", "8.38 GiB, but 4.66 GiB are free")),
    ],
)
def test_sizes_and_times_are_in_words(seconds, memory, disk, words):
    found = DryRun(
        model="m",
        images={"a": 1},
        held_out=0,
        least=5,
        other_files=0,
        sampled=1,
        unreadable=(),
        recognised=1,
        seconds=seconds,
        memory=memory,
        disk=int(disk),
        free=int(5e9),
    )
    rows = dict(found.rows())
    told = rows["time"], rows["memory"].removesuffix(" at the peak"), rows["disk"]
    assert told == tuple(f"about {word}" for word in words)
