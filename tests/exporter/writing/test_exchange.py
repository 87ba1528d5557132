"""Two paths change places at once, or it is said that they cannot."""

import ctypes
import errno
import sys
from types import SimpleNamespace

import pytest

from exporter.writing.exchange import exchange

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stands in for a call of Linux")


def answering(monkeypatch, number):
    """A system whose call fails with this error."""
    library = SimpleNamespace(renameat2=lambda *_: -1)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_has_no_exchange_is_no_error(tmp_path, monkeypatch, number):
    answering(monkeypatch, number)
    assert not exchange(tmp_path / "a", tmp_path / "b")


def test_a_refusal_is_an_error_that_names_the_place(tmp_path, monkeypatch):
    answering(monkeypatch, errno.EACCES)
    with pytest.raises(PermissionError, match="b"):
        exchange(tmp_path / "a", tmp_path / "b")
