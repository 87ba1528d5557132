"""What the tests of the page do on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from manifests import write_manifest
from playwright.sync_api import Page, expect

from serving.artifact import Artifact

SECONDS = 60  # that a busy machine may take for what a person sees at once
expect.set_options(timeout=SECONDS * 1000)
DECODED = "image => image.decode()"  # fails where there is no picture
_DRAWN = """() => {
    window.drawn = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        window.drawn.push(text);
        return fillText.call(this, text, ...rest);
    };
}"""


def explain(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    expect(page.locator("#class-title")).to_be_visible()


def shown_logit(page: Page) -> float:
    return float(page.locator("#logit").get_attribute("data-value"))


def downloaded_words(page: Page) -> str:
    """What is written on the picture that the page saves, a line each."""
    page.evaluate(_DRAWN)
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    return "\n".join(page.evaluate("drawn"))


def change_answers(page: Page, change: str) -> None:
    """Open the page anew with another answer to explain requests: JavaScript that changes `a`."""
    page.add_init_script(
        """const asked = fetch;
        window.fetch = async (path, ...rest) => {
            const answer = await asked(path, ...rest);
            if (!answer.ok || !String(path).includes("v1/explain")) return answer;
            const a = await answer.json();
            CHANGE;
            return Response.json(a);
        };""".replace("CHANGE", change)
    )
    page.reload()


def relabel(source: Artifact, folder: Path, labels: Sequence[str]) -> Path:
    """A copy of an artifact under other labels."""
    shutil.copytree(source.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for record, label in zip(manifest["classes"], labels, strict=True):
        record["label"] = label
    write_manifest(folder, manifest)
    return folder
