"""A browser, a server, and a page that must not complain."""

from pathlib import Path

import pytest
import tiny
from chromium import chromium
from http_server import listening
from page import SECONDS
from playwright.sync_api import Browser, Page

from serving.model.predictor import Predictor
from serving.process.settings import Settings


@pytest.hookimpl(tryfirst=True)  # before the marks are asked for
def pytest_collection_modifyitems(items):
    """All tests here are of the page, which has a make target of its own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("page")


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def artifact(tiny_export):
    return tiny_export[1]


@pytest.fixture(scope="module")
def server(artifact):
    with listening(Settings(artifact=artifact.folder, provider="cpu", threads=1)) as address:
        yield f"http://127.0.0.1:{address.port}"


@pytest.fixture(scope="module")
def predictor(artifact):
    return Predictor(artifact, threads=1)


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """A picture that the tiny classifier takes for green."""
    path = tmp_path_factory.mktemp("pictures") / "a picture.png"
    tiny.image(1, 502).save(path)
    return path


class Visit:
    """A page, and what went wrong on it."""

    def __init__(self, browser: Browser, address: str, **options):
        settings = {"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce"}
        self.context = browser.new_context(**(settings | options))
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(SECONDS * 1000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(address)

    def _note(self, message) -> None:
        # Chromium itself reports every answer with an error status; the page shows those.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def visit(browser, server):
    """Open the page; afterwards there must be no error, no warning, no forbidden content."""
    visits = []

    def open_page(address: str = server, **options) -> Page:
        visits.append(Visit(browser, address, **options))
        return visits[-1].page

    open_page.requests = lambda: [url for visit in visits for url in visit.requests]
    yield open_page
    for visit in visits:
        visit.context.close()
    assert [complaint for visit in visits for complaint in visit.complaints] == []


@pytest.fixture(scope="module")
def modules(browser, server):
    """A page from which the page's modules can be imported one by one."""
    page = browser.new_page()
    page.goto(server)
    yield page
    page.close()
