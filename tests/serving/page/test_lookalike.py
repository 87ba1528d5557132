"""A training image beside the picture."""

import pytest
from page import explain
from playwright.sync_api import expect

OPEN = """async ([context, crops]) => {
    const { showLookalike } = await import("/page/lookalike.js");
    const { samples } = await (await fetch("/v1/samples")).json();
    const evidence = Array.from({ length: crops }, (_, i) => ({
        url: samples[0].url, image: `birds/${i}.jpg`,
        context: context && { url: samples[0].url, box: context },
    }));
    const prototype = { index: 1, name: "red_legs", evidence };
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [200, 100];
    const heatmap = [[0, 0, 0, 1], [0, 0, 0, 0]];
    showLookalike({ evidence: evidence[0], prototype, rank: 2, canvas, heatmap, label: "a_bird" });
    await document.querySelector("#lookalike img").decode();
}"""


@pytest.fixture
def page(modules):
    yield modules
    modules.evaluate("document.getElementById('lookalike').close()")


def test_the_box_lies_where_the_crop_was_cut(page):
    page.evaluate(OPEN, [[0.25, 0.5, 0.75, 1.0], 1])
    expect(page.get_by_role("heading", name="Red legs (2) of a bird")).to_be_visible()
    image, box = (
        page.locator(f"#lookalike .{name}").bounding_box()
        for name in ("alike-frame >> nth=0", "alike-box")
    )
    expected = {
        "x": image["x"] + 0.25 * image["width"],
        "y": image["y"] + 0.5 * image["height"],
        "width": 0.5 * image["width"],
        "height": 0.5 * image["height"],
    }
    assert box == pytest.approx(expected, abs=1)


def test_without_the_image_the_crop_stands_alone_and_it_is_said(page):
    page.evaluate(OPEN, [None, 1])
    expect(page.get_by_text("Only the crop is kept in this artifact.")).to_be_visible()
    expect(page.locator("#lookalike .alike-box")).to_have_count(0)


def test_the_arrow_keys_go_around_the_crops(page):
    page.evaluate(OPEN, [None, 3])
    for key, count in [("ArrowRight", "2 of 3"), ("ArrowLeft", "1 of 3"), ("ArrowLeft", "3 of 3")]:
        page.keyboard.press(key)
        expect(page.locator("#lookalike [role=status]")).to_have_text(count)
    expect(page.locator("#lookalike .alike-id")).to_have_text("birds/2.jpg")


def test_the_picture_is_marked_where_the_part_looks(page):
    page.evaluate(OPEN, [None, 1])
    drawn = """() => {
        const canvas = document.querySelector("#lookalike canvas");
        const pen = canvas.getContext("2d");
        const marked = (x) => pen.getImageData(x, 0, 80, 100).data.some((value) => value > 0);
        return [marked(0), marked(120)];
    }"""
    assert page.evaluate(drawn) == [False, True]


def test_a_crop_is_opened_and_left_by_keyboard(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#difference")).to_be_visible()
    crop = page.get_by_role("button", name="Training image").first
    crop.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Your picture")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(crop).to_be_focused()
