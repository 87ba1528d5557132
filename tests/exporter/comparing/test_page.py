"""The page of a difference in a real browser: no request, no error, every width."""

import pytest
from chromium import chromium, complaints

from exporter.comparing.page import render
from exporter.comparing.run import diff
from serving.artifact import Artifact


@pytest.fixture(scope="module")
def address(tiny_export, tmp_path_factory):
    config, artifact = tiny_export
    classes = list(artifact.manifest.classes)
    named = classes[0].prototypes[0].model_copy(update={"name": "a_long_name_" * 12})
    prototypes = (named, *classes[0].prototypes[1:])
    classes[0] = classes[0].model_copy(update={"prototypes": prototypes, "warnings": ("<i>w",)})
    manifest = artifact.manifest.model_copy(update={"classes": tuple(classes)})
    other = Artifact(artifact.folder, manifest)
    found = diff(artifact, other, names=("a/" * 40, "b"), data=config.data, max_images=2)
    # The files are the same ones, so it has to be said that the manifests are not.
    found = found.model_copy(update={"new": found.new.model_copy(update={"sha256": "0" * 64})})
    path = tmp_path_factory.mktemp("page") / "diff.html"
    path.write_bytes(render(found, (artifact, other)))
    return path.as_uri()


def test_it_fits_every_width_and_asks_for_nothing(address):
    asked, errors = [], []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.get_by_role("heading", name="red").is_visible()
        assert page.get_by_text("new warning: <i>w").first.is_visible()
        hidden = page.locator("details img").first
        assert not hidden.is_visible()
        page.get_by_text("1 part kept").click()
        assert hidden.is_visible()
        assert complaints(page) == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert errors == []
