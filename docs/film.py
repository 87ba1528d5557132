"""Make the pictures of the page for the README and the docs, with the toy birds of `make demo`.

    python docs/film.py demo/artifact demo/data/test/kettlefinch/0001.jpg

starts the server, opens its page in Chromium, names the parts, switches one off and on again, and
writes docs/page.webp (moving), docs/page-parts.png and docs/page-phone.png.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1180, 880
NAMES = ("striped wing", "orange feet", "yellow crest")  # in the order of the picture


@contextmanager
def served(artifact: Path) -> Iterator[str]:
    """The address of a server of the artifact."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "exporter.cli", "serve", str(artifact), "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:  # noqa: S603
        try:
            _wait(address)
            yield address
        finally:
            server.terminate()


def _wait(address: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}readyz", timeout=5).close()  # noqa: S310
        except OSError:  # a refusal, a reset, or no answer in time
            time.sleep(0.5)
        else:
            return
    raise SystemExit("expected the server to answer within a minute")


class Film:
    """Frames of a page, each shown for a while."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.shown: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Add what the page shows now."""
        self.frames.append(_shot(self.page))
        self.shown.append(milliseconds)

    def move(self, milliseconds: int, frames: int = 6) -> None:
        """What moves for a while, then what it came to."""
        for _ in range(frames):
            self.take(milliseconds // frames)
            self.page.wait_for_timeout(20)

    def write(self, path: Path) -> None:
        """Write them as one moving picture that starts again."""
        first, *rest = self.frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=self.shown,
            loop=0,
            quality=72,
            method=6,
        )


def _shot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _open(page: Page, address: str, picture: Path) -> None:
    page.goto(address)
    page.wait_for_selector("#samples button")
    page.set_input_files("#file", picture)
    page.wait_for_selector("#class-title")
    for number, name in enumerate(NAMES):
        page.locator("button.row-name").nth(number).click()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(5, 5)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(600)


def film(page: Page, address: str, picture: Path) -> Film:
    """A part is pointed at, switched off, and on again."""
    _open(page, address, picture)
    made = Film(page)
    switch = page.get_by_role("switch").first
    made.take(2200)
    switch.hover()
    page.wait_for_timeout(400)
    made.take(1600)
    switch.click()
    page.wait_for_selector("#banner:visible")
    made.move(420)
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    made.take(3000)
    page.get_by_text("Switch all on").click()
    page.wait_for_selector("#banner", state="hidden")
    page.wait_for_timeout(500)
    made.take(1400)
    return made


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with served(given.artifact) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        wide = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        film(wide, address, given.picture).write(DOCS / "page.webp")
        wide.get_by_role("switch").nth(1).hover()
        wide.wait_for_timeout(600)
        _shot(wide).save(DOCS / "page-parts.png", optimize=True)
        phone = browser.new_page(viewport={"width": 390, "height": 800}, device_scale_factor=2)
        _open(phone, address, given.picture)
        phone.evaluate("scrollTo(0, 150)")
        phone.wait_for_timeout(400)
        _shot(phone).save(DOCS / "page-phone.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
