"""The page with labels that are long, numbers, or shared."""

from pathlib import Path

import pytest
from http_server import listening
from page import explain, relabel, shown_logit
from PIL import Image
from playwright.sync_api import Page, expect

from serving.process.settings import Settings

# A label of ImageNet's, and one without a space to break at.
TERRIER = (
    "American Staffordshire terrier, Staffordshire terrier, American pit bull terrier, "
    "pit bull terrier"
)
ENDLESS = "Donaudampfschifffahrtsgesellschaft" * 4
LONG = (TERRIER, TERRIER.replace("American", "Canadian"), ENDLESS)
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


def serve(folder: Path):
    return listening(Settings(artifact=folder, provider="cpu", threads=1))


def apart(page: Page, first: str, second: str) -> bool:
    """Whether two elements overlap nowhere."""
    a, b = (page.locator(selector).first.bounding_box() for selector in (first, second))
    return (
        a["x"] + a["width"] <= b["x"]
        or b["x"] + b["width"] <= a["x"]
        or a["y"] + a["height"] <= b["y"]
        or b["y"] + b["height"] <= a["y"]
    )


@pytest.mark.parametrize("width", [1200, 390])
def test_long_labels_fit(visit, artifact, picture, tmp_path, width):
    with serve(relabel(artifact, tmp_path / "long", LONG)) as address:
        page = visit(address.url, viewport={"width": width, "height": 860})
        explain(page, picture)
        assert page.evaluate(OVERFLOW) <= 0
        assert apart(page, "#figures", "#why")
        assert apart(page, "#stage", "#class-title")
        page.get_by_role("button", name="Compare with").first.click()
        expect(page.locator("#difference")).to_be_visible()
        assert page.evaluate(OVERFLOW) <= 0
        assert width < 860 or apart(page, "#figures", "#why")  # on a phone it goes by underneath
        page.get_by_role("button", name="Back to one class").click()  # nothing lies on top of it
        expect(page.locator(".chance")).to_be_visible()
        page.get_by_role("link", name="Classes").click()
        expect(page.locator("#cards")).to_be_visible()
        assert page.evaluate(OVERFLOW) <= 0
        page.context.close()


def test_long_labels_stay_on_the_downloaded_picture(visit, artifact, picture, tmp_path):
    with serve(relabel(artifact, tmp_path / "long", LONG)) as address:
        page = visit(address.url, color_scheme="light")
        explain(page, picture)
        page.get_by_role("button", name="Compare with").first.click()
        expect(page.locator("#difference")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        image = Image.open(download.value.path()).convert("RGB")
        edge = image.crop((image.width - 50, 0, image.width, image.height))
        assert {colour for _, colour in edge.getcolors(2**24)} == {(250, 249, 247)}
        page.context.close()


# Every label is a number, none is its own class's, and two classes share one.
@pytest.mark.parametrize("labels", [("1", "2", "0"), ("2", "0", "0")])
def test_a_number_as_a_label_is_never_taken_for_an_id(
    visit, artifact, predictor, picture, tmp_path, labels
):
    with serve(relabel(artifact, tmp_path / "digits", labels)) as address:
        page = visit(address.url)
        explain(page, picture)
        truth = {c.class_id: c for c in predictor.explain(picture, classes=[0, 1, 2]).classes}
        for index in (2, 0, 1):
            page.get_by_label("Another class").select_option(index=index)
            expect(page.locator("#logit")).to_have_attribute("data-value", str(truth[index].logit))
        page.get_by_role("switch").first.click()
        expect(page.locator(".chance s")).to_be_visible()
        strongest = max(truth[1].prototypes, key=lambda p: abs(p.contribution))
        muted = [(1, strongest.index)]
        steered = predictor.explain(picture, classes=[0, 1], mute=muted).classes
        assert shown_logit(page) == steered[1].logit
        for index in (0, 1):  # the class browser asks by id too
            page.goto(f"{address.url}/#class-{index}")
            expect(page.locator("#browser-title")).to_have_text(labels[index])
            expect(page.locator(".portrait img").first).to_be_visible()
            crops = page.locator(".portrait img").evaluate_all("all => all.map(i => i.src)")
            assert all(f"/evidence/{index:05d}/" in crop for crop in crops)
        page.context.close()
