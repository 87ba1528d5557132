"""The page, in a real Chromium against the real server."""

import io
import json
import re
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import tiny
from heatmaps import smooth
from http_server import listening
from page import DECODED, change_answers, explain, shown_logit
from PIL import Image
from playwright.sync_api import Page, expect

from exporter import edit
from serving.artifact import Preprocessing
from serving.drawing.lettering import percent, signed
from serving.drawing.overlay import strength
from serving.drawing.palette import ink_on, prototype_colour
from serving.drawing.peaks import peaks
from serving.model.preprocess import make_view
from serving.process.settings import Settings

ROUNDING = 1e-5  # logits of a few units are float32, and two of them are subtracted


def bars(page: Page) -> list[tuple[float, float]]:
    """Left and right end of every bar of the sum, pixels, from top to bottom."""
    boxes = [bar.bounding_box() for bar in page.locator("#why .bar").all() if bar.is_visible()]
    return [(box["x"], box["x"] + box["width"]) for box in boxes]


def test_the_shown_class_and_logit_are_the_models(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    expect(page.locator("#class-title")).to_have_text(best.label)
    assert shown_logit(page) == best.logit


def test_muting_a_prototype_changes_the_shown_logit_by_its_contribution(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    strongest = max(predictor.explain(picture).classes[0].prototypes, key=lambda p: p.contribution)
    before = shown_logit(page)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    after = shown_logit(page)
    assert before - after == pytest.approx(strongest.contribution, abs=ROUNDING)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_have_count(0)
    assert shown_logit(page) == before


def test_muting_shows_every_listed_class_before_and_after(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    for switch in page.get_by_role("switch").all():
        switch.click()
    expect(page.locator("#banner")).to_contain_text("instead of green")
    muted = [(best.class_id, prototype.index) for prototype in best.prototypes]
    steered = predictor.explain(picture, classes=list(tiny.LABELS), mute=muted).classes
    probable = sorted(steered, key=lambda explained: -explained.logit)
    rows = page.locator("#predictions .prediction")
    labels = [row.locator(".prediction-name").inner_text() for row in rows.all()]
    assert labels == [explained.label for explained in probable][: len(labels)]
    now = percent(probable[0].probability)
    expect(rows.first.locator(".prediction-number")).to_contain_text(now)
    expect(rows.first.locator("s")).to_be_visible()


def test_a_wish_that_ends_another_leaves_no_stale_number(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    strongest = max(best.prototypes, key=lambda p: p.contribution)
    held = []
    page.route("**/v1/explain", lambda route: held.append(route))
    page.get_by_role("switch").first.click()
    expect(page.locator("body")).to_have_class("busy")
    page.unroute("**/v1/explain")
    page.locator(".prediction").nth(1).click()
    expect(page.locator("#class-title")).not_to_have_text(best.label)
    page.locator(".prediction", has_text=best.label).click()
    expect(page.locator("#class-title")).to_have_text(best.label)
    muted = [(best.class_id, strongest.index)]
    steered = predictor.explain(picture, classes=[best.class_id], mute=muted).classes[0]
    assert shown_logit(page) == steered.logit


def test_a_bar_is_to_scale_and_one_against_the_class_is_on_the_other_side(
    visit, predictor, picture
):
    page = visit()
    change_answers(page, "a.results[0].classes[0].prototypes[0].contribution *= -1")
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    values = [p.contribution for p in best.prototypes]
    values = sorted([-values[0], *values[1:]], reverse=True)
    low, high = min(0, *values), max(0, *values)
    track = page.locator("#why .track").first.bounding_box()
    unit = track["width"] / (high - low)
    zero = track["x"] - low * unit
    for value, ends in zip(values, bars(page), strict=True):
        assert ends == pytest.approx(sorted([zero, zero + value * unit]), abs=1.5)
    hatched = page.locator("#why .rows > .against").count()
    assert hatched == sum(value <= 0 for value in values)


def test_the_terms_under_how_it_adds_up_are_the_models(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    page.get_by_text("How it adds up").click()
    best = predictor.explain(picture).classes[0]
    parts = sum(prototype.contribution for prototype in best.prototypes)
    numbers = [
        number.inner_text() for number in page.locator(".how .number").all() if number.is_visible()
    ]
    assert numbers == [signed(value, 2) for value in (parts, best.bias, best.common, best.logit)]


def test_pointing_at_a_prototype_isolates_it_in_the_list_and_on_the_picture(visit, picture):
    page = visit()
    explain(page, picture)
    pixels = "document.getElementById('stage').toDataURL()"
    together = page.evaluate(pixels)
    page.get_by_role("switch").first.hover()
    expect(page.locator("#why .rows > .dim")).to_have_count(1)
    assert page.evaluate(pixels) != together
    page.mouse.move(2, 2)
    expect(page.locator("#why .rows > .dim")).to_have_count(0)
    assert page.evaluate(pixels) == together


@pytest.mark.parametrize("mode", ["Heat", "Photo"])
def test_it_opens_in_parts_and_can_be_shown_in_other_ways(visit, picture, mode):
    page = visit()
    explain(page, picture)
    expect(page.get_by_label("Parts", exact=True)).to_be_checked()
    pixels = "document.getElementById('stage').toDataURL()"
    parts = page.evaluate(pixels)
    page.get_by_text(mode, exact=True).click()
    assert page.evaluate(pixels) != parts


def test_two_classes_are_compared_term_by_term(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#class-title")).to_contain_text("Why green and not")
    a, b = predictor.explain(picture).classes[:2]
    difference = float(page.locator("#difference").get_attribute("data-value"))
    assert difference == pytest.approx(a.logit - b.logit, abs=ROUNDING)
    assert page.locator("#why .half").count() == len(a.prototypes) + len(b.prototypes)
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#difference")).to_have_attribute("data-value", str(-difference))
    page.get_by_role("button", name="Back").click()
    assert shown_logit(page) == a.logit


def test_a_comparison_leaves_out_what_is_switched_off(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    a, b = predictor.explain(picture).classes[:2]
    page.get_by_role("switch").first.click()
    muted = int(page.locator(".rows li.off").get_attribute("data-index"))
    page.get_by_role("button", name=f"Compare with {b.label}").click()
    ids = [a.class_id, b.class_id]
    a, b = predictor.explain(picture, classes=ids, mute=[(a.class_id, muted)]).classes
    asked = f"Why {b.label}, though you asked for {a.label}?"
    expect(page.locator("#class-title")).to_have_text(asked)
    difference = float(page.locator("#difference").get_attribute("data-value"))
    assert difference == pytest.approx(a.logit - b.logit, abs=ROUNDING)
    off = page.locator(".half.off")
    assert (off.get_attribute("data-side"), off.get_attribute("data-index")) == ("a", str(muted))


def test_a_prototype_that_an_edit_muted_says_why(visit, artifact, predictor, picture, tmp_path):
    best = predictor.explain(picture).classes[0]
    reason = "looks at the <b>frame</b>"
    edit(artifact.folder, tmp_path / "edited", reason=reason, mute=[(best.class_id, 1)])
    note = f"Muted for good: {reason}"
    with listening(Settings(artifact=tmp_path / "edited", provider="cpu", threads=1)) as address:
        page = visit(f"http://127.0.0.1:{address.port}")
        page.goto(f"{page.url}#class-{best.class_id}")
        expect(page.locator(".portrait li", has_text=note)).to_have_count(1)
        page.goto(f"http://127.0.0.1:{address.port}/")
        explain(page, picture)
        page.get_by_label("Another class").select_option(best.label)
        expect(page.locator("#why .rows li[data-index='1']")).to_contain_text(note)
        expect(page.locator("#why .rows li[data-index='0']")).not_to_contain_text(note)
        page.context.close()


def test_any_class_can_be_explained(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    worst = predictor.explain(picture, classes=list(tiny.LABELS)).classes
    last = min(worst, key=lambda explained: explained.logit)
    page.get_by_label("Another class").select_option(last.label)
    expect(page.locator("#class-title")).to_have_text(last.label)
    assert shown_logit(page) == last.logit


def press_until(page: Page, key: str, reached: str) -> None:
    """Press a key until the focused element matches a selector."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate("s => document.activeElement.matches(s)", reached):
            return
    pytest.fail(f"{reached} cannot be reached by {key}")


def test_everything_works_by_keyboard_alone(visit):
    page = visit()
    expect(page.locator("#samples button").first).to_be_visible()
    press_until(page, "Tab", "#samples button")
    page.keyboard.press("Enter")
    expect(page.locator("#sentence")).to_be_focused()
    before = shown_logit(page)
    press_until(page, "Tab", "[role=switch]")
    expect(page.locator("#why .rows > .dim")).to_have_count(1)
    page.keyboard.press("Space")
    expect(page.locator(".chance s")).to_be_visible()
    assert shown_logit(page) != before
    assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "false"
    press_until(page, "Shift+Tab", ".compare:not(:disabled)")
    page.keyboard.press("Enter")
    expect(page.locator("#difference")).to_be_visible()
    press_until(page, "Shift+Tab", "#code")
    page.keyboard.press("Enter")
    expect(page.locator("#recipe-curl")).to_contain_text("curl http://127.0.0.1")
    page.keyboard.press("Escape")
    expect(page.locator("#recipe-curl")).to_be_hidden()


def test_a_screen_reader_hears_what_is_shown(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    for rank, _ in enumerate(best.prototypes, start=1):
        expect(page.get_by_role("switch", name=f"part {rank}")).to_be_checked()
    expect(page.get_by_role("img", name="where the model looks for green")).to_be_visible()
    page.get_by_role("switch").first.click()
    expect(page.get_by_role("status").last).to_contain_text("Best:")
    expect(page.get_by_role("button", name="Compare with").first).to_be_enabled()
    nameless = page.locator("button, input, select, a, img").evaluate_all(
        """nodes => nodes.filter(n => n.checkVisibility() && n.alt === undefined &&
            !(n.textContent.trim() || n.ariaLabel || n.labels?.length)).map(n => n.outerHTML)"""
    )
    assert nameless == []


def test_an_undecodable_file_shows_the_servers_words(visit, server, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and nothing of a picture")
    page = visit()
    with page.expect_response("**/v1/explain") as answer:
        page.set_input_files("#file", broken)
    problem = answer.value.json()
    expect(page.get_by_role("alert")).to_contain_text(problem["detail"])
    expect(page.get_by_role("alert")).to_contain_text(problem["title"])
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.locator("#intake")).to_be_visible()


def test_a_lost_server_is_told_and_tried_again(visit, picture):
    page = visit()
    page.route("**/v1/explain", lambda route: route.abort())
    page.set_input_files("#file", picture)
    expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    page.unroute("**/v1/explain")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#class-title")).to_have_text("green")
    expect(page.locator("#alert")).to_be_hidden()


def test_a_picture_beyond_the_servers_limit_is_not_sent(visit, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(bytes(Settings().max_body + 1))
    page = visit()
    expect(page.locator("#samples button").first).to_be_visible()
    page.set_input_files("#file", large)
    expect(page.get_by_role("alert")).to_contain_text("At most 20.0 MiB are taken")
    assert [url for url in visit.requests() if url.endswith("/v1/explain")] == []


def test_the_skip_link_leaves_the_page_as_it_is(visit):
    page = visit()
    page.get_by_role("link", name="Classes").click()
    expect(page.locator("#cards")).to_be_visible()
    page.get_by_role("link", name="Skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#cards")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "main"


def test_it_says_that_it_waits(visit, picture):
    page = visit()
    held = []
    page.route("**/v1/explain", lambda route: held.append(route))
    page.set_input_files("#file", picture)
    expect(page.locator("#status")).to_have_text(f"Explaining {picture.name} …")
    expect(page.locator("body")).to_have_class("busy")
    held[0].continue_()
    expect(page.locator("#class-title")).to_be_visible()
    expect(page.locator("body")).not_to_have_class("busy")


TRANSFER = """async ([kind, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
    const name = kind === "paste" ? "clipboardData" : "dataTransfer";
    const make = kind === "paste" ? ClipboardEvent : DragEvent;
    document.body.dispatchEvent(
        new make(kind, { [name]: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(visit, picture, kind):
    page = visit()
    expect(page.locator("#samples button").first).to_be_visible()
    page.evaluate(TRANSFER, [kind, list(picture.read_bytes())])
    expect(page.locator("#class-title")).to_have_text("green")
    expect(page.locator("#file-name")).to_have_text("given.png")


def test_the_shown_python_and_curl_give_the_shown_logit(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    page.get_by_role("button", name="As code").click()
    program = page.locator("#recipe-python").inner_text() + '\nprint(best["logit"])\n'
    run = [sys.executable, "-c", program]
    python = subprocess.run(run, cwd=picture.parent, capture_output=True, text=True, check=True)
    assert float(python.stdout.splitlines()[-1]) == shown_logit(page)
    command = page.locator("#recipe-curl").inner_text()
    curl = subprocess.run(command, shell=True, cwd=picture.parent, capture_output=True, check=True)
    assert json.loads(curl.stdout)["results"][0]["classes"][0]["logit"] == shown_logit(page)


def test_the_downloaded_picture_is_the_shown_one(visit, picture):
    page = visit(color_scheme="light")
    explain(page, picture)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "a picture-explained.png"
    image = Image.open(download.value.path()).convert("RGB")
    assert image.width == 1600
    assert image.getpixel((2, 2)) == (250, 249, 247)
    colours = {colour for _, colour in image.getcolors(2**24)}
    assert {prototype_colour(index) for index in range(2)} <= colours


def test_the_class_browser_finds_and_shows_what_is_looked_for(visit, artifact):
    page = visit()
    page.get_by_role("link", name="Classes").click()
    cards = page.locator("#cards .card-name")
    assert cards.all_inner_texts() == list(tiny.LABELS)
    page.get_by_role("searchbox").fill("RE")
    assert cards.all_inner_texts() == ["red", "green"]
    page.get_by_role("searchbox").fill("gre")
    cards.click()
    expect(page.locator("#browser-title")).to_have_text("green")
    crops = [crop for p in artifact.manifest.classes[1].prototypes for crop in p.evidence]
    assert page.locator(".portrait img").count() == len(crops)
    for image in page.locator(".portrait img").all():
        image.scroll_into_view_if_needed()
        image.evaluate(DECODED)
    page.go_back()
    expect(page.get_by_role("searchbox")).to_be_visible()


def test_a_label_is_text_and_never_markup(visit):
    hostile = "<img src=x onerror=alert(1)>"
    page = visit()

    def rename(route):
        classes = route.fetch().json()
        classes["classes"][0]["label"] = hostile
        route.fulfill(json=classes)

    page.route("**/v1/classes", rename)
    page.goto(page.url + "#classes")
    page.reload()
    expect(page.locator("#cards .card-name").first).to_have_text(hostile)


def test_no_request_leaves_the_host(visit, server, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("switch").first.click()
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#difference")).to_be_visible()
    page.get_by_role("link", name="Classes").click()
    page.locator("#cards .card").first.click()
    expect(page.locator(".portrait")).to_be_visible()
    page.wait_for_load_state("networkidle")
    elsewhere = [url for url in visit.requests() if not url.startswith((f"{server}/", "blob:"))]
    assert elsewhere == []


def test_a_closed_server_asks_for_its_token(visit, artifact, picture, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("open sesame\n")
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, tokens=tokens)
    with listening(settings) as address:
        page = visit(f"http://127.0.0.1:{address.port}")
        page.get_by_label("Token").fill("open sesame")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#samples button").first).to_be_visible()
        explain(page, picture)
        crop = page.locator(".lookalikes img").first
        expect(crop).to_have_attribute("src", re.compile("^blob:"))
        crop.evaluate(DECODED)
        page.context.close()


CONTRAST = """() => {
    const level = (colour) => {
        const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
        const linear = [r, g, b].map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return [0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], a];
    };
    const ground = (node) => {
        for (let n = node; n; n = n.parentElement) {
            const [l, a] = level(getComputedStyle(n).backgroundColor);
            if (a === 1) return l;
        }
    };
    const weak = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        const seen = { checkOpacity: true, checkVisibilityCSS: true };
        if (!text || !node.checkVisibility(seen) || node.closest("[aria-hidden=true]")) continue;
        const [a, b] = [level(getComputedStyle(node).color)[0], ground(node)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) weak.push(`${text}: ${ratio.toFixed(2)}`);
    }
    return weak;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(visit, picture, scheme):
    page = visit(color_scheme=scheme)
    expect(page.locator("#samples button").first).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    page.mouse.move(2, 2)
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#difference")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("link", name="Classes").click()
    expect(page.locator("#cards")).to_be_visible()
    assert page.evaluate(CONTRAST) == []


def test_dark_is_dark(visit):
    page = visit(color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(20, 22, 25)"


def test_a_phone_scrolls_only_down(visit, picture):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    overflow = "document.documentElement.scrollWidth - innerWidth"
    expect(page.locator("#samples button").first).to_be_visible()
    assert page.evaluate(overflow) <= 0
    explain(page, picture)
    assert page.evaluate(overflow) <= 0
    page.get_by_role("switch").first.tap()
    expect(page.locator(".chance s")).to_be_visible()
    assert page.evaluate(overflow) <= 0
    page.get_by_role("button", name="Compare with").first.tap()
    expect(page.locator("#difference")).to_be_visible()
    assert page.evaluate(overflow) <= 0
    page.get_by_role("link", name="Classes").tap()
    expect(page.locator("#cards")).to_be_visible()
    assert page.evaluate(overflow) <= 0


def test_the_page_draws_heatmaps_as_the_pictures_do(modules):
    heatmap = np.random.default_rng(5).normal(size=(7, 9)).astype(np.float32)
    field = modules.evaluate(
        """async (heatmap) => {
            const { fieldOf } = await import("/page/field.js");
            const { width, height, values } = fieldOf(heatmap, 4 / 3);
            return { width, height, values: [...values] };
        }""",
        heatmap.tolist(),
    )
    expected = strength(heatmap, (field["width"], field["height"]))
    # Pillow resizes in float32, in another order of the axes; the ghost's edge may flip a pixel.
    np.testing.assert_allclose(field["values"], expected.ravel(), atol=0.02)
    assert np.abs(np.array(field["values"]) - expected.ravel()).mean() < 1e-5


def test_the_page_puts_a_prototypes_number_where_the_metrics_find_its_peak(modules):
    heatmaps = smooth(40, (7, 9), seed=3)
    found = modules.evaluate(
        """async (heatmaps) => {
            const { fieldOf } = await import("/page/field.js");
            return heatmaps.map((heatmap) => fieldOf(heatmap, 4 / 3))
                .map(({ width, height, peak }) => [peak[0] * width, peak[1] * height]);
        }""",
        heatmaps.tolist(),
    )
    # Of 240 x 180 pixels; sums in another order may let a neighbour of the peak win.
    np.testing.assert_allclose(np.array(found) - 0.5, peaks(heatmaps, (180, 240)), atol=1)


def test_the_page_colours_prototypes_as_the_pictures_do(modules):
    script = """async () => {
        const { colourOf, inkOn } = await import("/page/palette.js");
        return Array.from({ length: 40 }, (_, i) => [colourOf(i), inkOn(colourOf(i))]);
    }"""
    for index, (colour, ink) in enumerate(modules.evaluate(script)):
        # JavaScript rounds halves up, Python to even.
        np.testing.assert_allclose(colour, prototype_colour(index), atol=1)
        assert tuple(ink) == ink_on(prototype_colour(index))


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(resize=256, crop=224),
        Preprocessing(resize=(120, 200)),
        Preprocessing(crop=96),
    ],
    ids=["resize and crop", "resize both sides", "crop"],
)
def test_the_page_shows_the_part_that_the_network_sees(modules, preprocessing):
    for size in [(640, 480), (333, 1001), (24, 24)]:
        view = make_view(Image.new("RGB", size), preprocessing)
        left, top, right, bottom = view.to_original((0, 0, *view.image.size))
        box = modules.evaluate(
            """async ([size, preprocessing]) => {
                const { x, y, width, height } =
                    (await import("/page/picture.js")).viewBox(...size, preprocessing);
                return [x, y, width, height];
            }""",
            [size, preprocessing.model_dump(mode="json")],
        )
        expected = [left, top, right - left, bottom - top]
        # to_original rounds to whole pixels, its width is the difference of two rounded numbers.
        assert box == pytest.approx(expected, abs=1.01)


def test_the_page_needs_no_build_and_is_served_with_a_strict_policy(server):
    with urllib.request.urlopen(server) as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = io.TextIOWrapper(answer).read()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "style=" not in page
    assert "onclick=" not in page
