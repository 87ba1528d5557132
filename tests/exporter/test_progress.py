import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
import tqdm.auto

from exporter.progress import NotebookBar


class Bar:
    """What tqdm.auto is here: it keeps what it was told."""

    made: ClassVar[list] = []

    def __init__(self, total, desc, unit, mininterval):
        self.n, self.total, self.desc, self.closed = 0, total, desc, False
        Bar.made.append(self)

    def update(self, count):
        self.n += count

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def in_ipython(monkeypatch, **shell):
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(**shell))
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_a_notebook_shows_a_bar_for_each_stage(monkeypatch, bars):
    in_ipython(monkeypatch, kernel=object())
    show = NotebookBar()
    for stage, done in (("export", 0), ("export", 4), ("export", 8), ("verify", 3), ("export", 0)):
        show(stage, done, 8)
    assert [(bar.desc, bar.n, bar.closed) for bar in bars] == [
        ("export", 8, True), ("verify", 3, True), ("export", 0, False),
    ]  # fmt: skip


@pytest.mark.parametrize("ipython", [True, False])
def test_nothing_is_shown_where_no_notebook_runs_it(monkeypatch, bars, ipython, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    if ipython:  # on a terminal, without a kernel
        in_ipython(monkeypatch)
    NotebookBar()("export", 1, 2)
    assert bars == []
    assert capsys.readouterr() == ("", "")
