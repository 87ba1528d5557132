"""The start of a server ends with its address; a page is shown where there is a browser."""

import io
import logging
import webbrowser

import pytest

from serving.browser import open_page
from serving.process import ready
from serving.process.settings import Settings

ON_SCREEN = {"BROWSER": "", "DISPLAY": ":0", "WAYLAND_DISPLAY": ""}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def opened(monkeypatch):
    """The pages that were opened, on a Unix with a screen."""
    pages = []
    monkeypatch.setattr(webbrowser, "open", pages.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name, value in ON_SCREEN.items():
        monkeypatch.setenv(name, value)
    return pages


@pytest.fixture
def looks(monkeypatch):
    """How often the server was asked before it answered."""
    answers = iter([False, False, True])
    asked = []

    def answers_now(environment, _seconds):
        asked.append(environment)
        return next(answers)

    monkeypatch.setattr(ready, "answers", answers_now)
    for pause in ("_SECONDS_BETWEEN_LOOKS", "_SETTLING"):
        monkeypatch.setattr(ready, pause, 0)
    return asked


def announce(settings, monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stream)
    ready._announce(settings)
    return stream.getvalue()


def test_a_person_reads_the_address_once_the_server_answers(looks, opened, monkeypatch):
    assert announce(Settings(port=3114), monkeypatch, Terminal()) == "Open http://127.0.0.1:3114\n"
    assert len(looks) == 3
    assert opened == []


def test_a_collector_of_logs_reads_it_as_a_line_like_all_others(looks, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, logger="protohead"):
        assert announce(Settings(host="::", port=80), monkeypatch, io.StringIO()) == ""
    assert caplog.messages == ["Open http://[::1]:80"]


def test_the_browser_opens_if_it_was_asked_for(looks, opened, monkeypatch):
    announce(Settings(host="0.0.0.0", browser=True), monkeypatch, Terminal())
    assert opened == ["http://127.0.0.1:3000"]


def test_nothing_opens_where_there_is_no_screen(opened, monkeypatch):
    open_page("http://127.0.0.1:3000")
    for name in ON_SCREEN:
        monkeypatch.delenv(name)
    open_page("http://127.0.0.1:3000")
    assert opened == ["http://127.0.0.1:3000"]


def test_a_browser_that_does_not_start_is_no_error(opened, monkeypatch):
    def fail(url):
        raise webbrowser.Error("none")

    monkeypatch.setattr(webbrowser, "open", fail)
    open_page("http://127.0.0.1:3000")
