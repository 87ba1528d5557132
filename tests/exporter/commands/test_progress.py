"""Progress where no bar can be drawn: the log of a long job stays short."""

import os
import pty
import termios

import pytest

from exporter.commands import progress
from exporter.commands.progress import ProgressLine


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    passed = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: passed[0])
    return passed


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_job_of_two_hours_takes_about_a_line_a_minute(clock, capsys):
    line = ProgressLine()
    for done in range(10_001):
        line("export", done, 10_000)
        clock[0] += 0.72
    said = lines(capsys)
    assert said[0] == "export: 0 of 10000 images"
    assert said[-1] == "export: 10000 of 10000 images"
    assert len(said) < 2 * 60 + 10


def test_the_first_lines_come_soon(clock, capsys):
    line = ProgressLine("file")
    for done in range(40):
        line("pull", done, 100)
        clock[0] += 1
    assert lines(capsys) == [f"pull: {done} of 100 files" for done in (0, 5, 15, 35)]


def test_a_stage_begins_and_ends_with_a_line_and_says_nothing_twice(clock, capsys):
    line = ProgressLine()
    for stage in ("measure", "draw"):
        for done in (0, 1, 2, 3, 3):
            line(stage, done, 3)
    assert lines(capsys) == [
        "measure: 0 of 3 images",
        "measure: 3 of 3 images",
        "draw: 0 of 3 images",
        "draw: 3 of 3 images",
    ]


@pytest.mark.parametrize(("columns", "room"), [(0, False), (80, True)])
def test_a_terminal_without_a_width_has_no_room_for_a_bar(columns, room, monkeypatch):
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (0, columns))
    with os.fdopen(terminal, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        assert progress._has_room() is room
    os.close(control)
