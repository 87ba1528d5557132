"""The answer in one sentence, what people change on it, and the address that brings it back."""

import re
import shlex
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from http_server import listening
from page import change_answers, explain, relabel
from playwright.sync_api import Page, expect

from exporter.cli import cli
from serving.artifact import load_artifact
from serving.drawing.lettering import percent
from serving.process.settings import Settings

SAID = re.compile(r"It says green \(\d+\.\d %\), mostly for part")


def said(page: Page) -> str:
    return page.locator("#sentence").get_attribute("aria-label")


def address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).fragment)


def rename(page: Page, name: str) -> None:
    """Call the strongest part something."""
    page.get_by_role("button", name="Name part 1").click()
    page.get_by_label("Name of part 1").fill(name)
    page.keyboard.press("Enter")


def open_sample(page: Page) -> None:
    page.locator("#samples button").first.click()
    expect(page.locator("#class-title")).to_be_visible()


def test_the_first_heading_is_the_answer_in_one_sentence(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    assert f"It says green ({percent(best.probability)})" in said(page)
    expect(page.locator("h1:visible")).to_have_attribute("aria-label", SAID)


def test_a_part_says_what_the_class_would_be_without_it(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    ordered = sorted(best.prototypes, key=lambda p: -p.contribution)
    for part, row in zip(ordered, page.locator("#why .rows > li").all(), strict=True):
        mute = [(best.class_id, part.index)]
        without = predictor.explain(picture, classes=[best.class_id], mute=mute).classes[0]
        expect(row.locator(".without")).to_have_text(f"without it: {percent(without.probability)}")


def test_a_part_that_is_off_says_what_the_class_would_be_with_it(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    before = percent(predictor.explain(picture).classes[0].probability)
    expect(page.locator(".off .without")).to_have_text(f"with it: {before}")


def test_without_a_lead_the_sentence_says_that_it_is_not_sure(modules):
    said = modules.evaluate(
        """async () => {
            const { sentenceOf } = await import("/page/sentence.js");
            const scores = [[0, "puffin", 0.482], [1, "bunting", 0.41]].map(
                ([id, label, probability]) => ({ id, label, probability }));
            const parts = [1.5, 4, -1].map((contribution, index) =>
                ({ index, name: `prototype ${index}`, contribution }));
            parts[0].name = "bill";
            const explained = { whole: false, placed: 1, prototypes: parts };
            return [
                sentenceOf(scores, explained, "softmax"),
                sentenceOf(scores, explained, "sigmoid"),
                sentenceOf(scores.slice(0, 1), { ...explained, whole: true }, "softmax"),
                sentenceOf(scores, { ...explained, placed: 0.2 }, "softmax"),
                sentenceOf(scores, explained, "softmax", new Set([0, 1])),
            ];
        }"""
    )
    unsure = "It is not sure: puffin (48.2 %), also bunting (41.0 %)."
    assert said == [
        f"{unsure} puffin mostly for part 1 and the bill (2).",
        "It is not sure: puffin (48.2 %). Mostly for part 1 and the bill (2).",
        "It is not sure: puffin (48.2 %). This class is not split into parts.",
        f"{unsure} puffin mostly from no place in the picture.",
        f"{unsure} puffin though no part speaks for it.",
    ]


def test_the_address_brings_back_what_is_shown(visit):
    page = visit()
    open_sample(page)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    rename(page, "a <b>bill</b> & more")
    page.get_by_text("Heat", exact=True).click()
    expect(page.locator("#why .fixed").first).to_have_text("a <b>bill</b> & more")
    expect(page).to_have_url(re.compile("view=heat"))
    sentence, number = said(page), page.locator(".chance").inner_text()
    for back in (page.reload, lambda: page.goto(page.url.replace("view=heat", "view=photo"))):
        back()
        expect(page.locator("#why .rows > .off")).to_have_count(1)
        expect(page.locator(".chance")).to_have_text(number)
        expect(page.locator("#why .fixed").first).to_have_text("a <b>bill</b> & more")
        assert said(page) == sentence
    expect(page.get_by_label("Photo", exact=True)).to_be_checked()


def test_a_comparison_and_ones_own_picture_come_back_too(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="Compare with red").click()
    expect(page.locator("#difference")).to_be_visible()
    difference = page.locator("#difference").get_attribute("data-value")
    assert address(page).keys() == {"picture", "against"}
    page.reload()
    expect(page.locator("#difference")).to_have_attribute("data-value", difference)
    expect(page.locator("#file-name")).to_have_text(picture.name)


def test_back_leads_to_the_picture_before(visit, picture):
    page = visit()
    open_sample(page)
    before = said(page)
    page.locator("#sentence").click()  # browsers skip what a page does by itself
    explain(page, picture)
    expect(page.locator("#file-name")).to_have_text(picture.name)
    page.go_back()
    expect(page.locator("#file-name")).to_have_text("sample-1.jpg")
    expect(page.locator("#sentence")).to_have_attribute("aria-label", before)
    page.go_back()
    expect(page.locator("#intake")).to_be_visible()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("#picture=nobodys", "That picture is not here"),
        ("#sample=999", "That sample is not here"),
    ],
)
def test_an_address_of_what_is_not_here_says_so(visit, server, named, told):
    page = visit(f"{server}/{named}")
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.locator("#samples button").first).to_be_visible()


def test_an_address_of_a_class_against_itself_shows_the_class(visit, server):
    page = visit(f"{server}/#sample=1&class=2&against=2")
    expect(page.locator("#class-title")).to_have_text("blue")
    expect(page.locator("#alert")).to_be_hidden()


def test_an_address_with_nonsense_opens_the_picture(visit, server):
    nonsense = "class=77&against=99&view=x&off=9.9&off=0.88&off=a&name=1&name=9.9.bill"
    page = visit(f"{server}/#sample=1&{nonsense}")
    expect(page.locator("#class-title")).to_be_visible()
    assert address(page) == {"sample": ["1"]}


def test_what_was_changed_on_the_page_is_kept_by_the_shown_command(
    visit, artifact, picture, tmp_path
):
    page = visit()
    explain(page, picture)
    expect(page.locator("#keep")).to_be_hidden()
    rename(page, "it's red")
    page.get_by_role("switch").last.click()
    expect(page.locator(".chance s")).to_be_visible()
    command = page.locator("#keep-command").inner_text().replace("\\\n", "")
    command = command.replace("ARTIFACT", str(artifact.folder)).replace(
        "EDITED", str(tmp_path / "kept")
    )
    done = CliRunner().invoke(cli, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    kept = load_artifact(tmp_path / "kept").manifest
    assert "it's red" in [prototype.name for prototype in kept.classes[1].prototypes]
    assert len(kept.muted) == 1


def test_an_empty_name_gives_the_part_its_own_back(visit, picture):
    page = visit()
    explain(page, picture)
    own = page.locator("#why .fixed").first.inner_text()
    rename(page, "bill")
    expect(page.locator("#sentence")).to_have_attribute("aria-label", re.compile(r"the bill \(1\)"))
    page.get_by_role("button", name="Name bill").click()
    page.get_by_label("Name of bill").fill("")
    page.keyboard.press("Enter")
    expect(page.locator("#why .fixed").first).to_have_text(own)
    assert "name" not in address(page)


def test_escape_leaves_the_name_as_it_is(visit, picture):
    page = visit()
    explain(page, picture)
    own = page.locator("#why .fixed").first.inner_text()
    page.get_by_role("button", name="Name part 1").click()
    page.get_by_label("Name of part 1").fill("wrong")
    page.keyboard.press("Escape")
    expect(page.locator("#why .fixed").first).to_have_text(own)
    expect(page.get_by_role("button", name="Name part 1")).to_be_focused()


def test_a_switch_whose_answer_fails_goes_back(visit, picture):
    page = visit()
    explain(page, picture)
    number = page.locator(".chance").inner_text()
    page.route("**/v1/explain", lambda route: route.abort())
    switch = page.get_by_role("switch").first
    switch.click()
    expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    expect(switch).to_be_checked()
    expect(page.locator(".chance")).to_have_text(number)
    expect(page.locator("#banner")).to_be_hidden()


def test_switching_all_on_shows_what_was_said_before(visit, picture):
    page = visit()
    explain(page, picture)
    before = said(page)
    for switch in page.get_by_role("switch").all():
        switch.click()
    expect(page.locator("#banner")).to_contain_text(
        "Switched off: part 1 of green, part 2 of green"
    )
    page.get_by_role("button", name="Switch all on").click()
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#sentence")).to_have_attribute("aria-label", before)
    expect(page.locator("#sentence")).to_be_focused()


def test_what_preprocessing_cuts_off_is_shown(visit, modules, picture):
    page = visit()
    explain(page, picture)
    expect(page.locator("#cut")).to_be_hidden()  # it resizes both sides
    seen = modules.evaluate(
        """async () => {
            const { decode, seenBy } = await import("/page/picture.js");
            const canvas = new OffscreenCanvas(200, 100);
            canvas.getContext("2d");
            const file = new File([await canvas.convertToBlob()], "wide.png");
            return seenBy(await decode(file), { resize: 64, crop: 56 }).seen;
        }"""
    )
    assert seen == pytest.approx((56 / 64) ** 2 / 2, abs=0.01)


def test_a_class_without_parts_stands_beside_the_best_one_that_has_some(visit, picture):
    page = visit()
    change_answers(page, "a.results[0].classes[0].whole = true")
    explain(page, picture)
    assert said(page).endswith("This class is not split into parts.")
    expect(page.locator("#instead")).to_contain_text("Shown below: what speaks for")
    expect(page.locator("#class-title")).not_to_have_text("green")


def test_a_label_that_is_a_number_is_named_by_its_id_in_the_command(
    visit, artifact, picture, tmp_path
):
    folder = relabel(artifact, tmp_path / "digits", ("1", "2", "0"))
    with listening(Settings(artifact=folder, provider="cpu", threads=1)) as server:
        page = visit(server.url)
        explain(page, picture)
        rename(page, "bill")
        expect(page.locator("#keep-command")).to_contain_text("--name 01:")
        page.context.close()


def test_more_parts_than_fit_on_a_hand_all_have_an_outline_and_a_number(modules):
    drawn = modules.evaluate(
        """async () => {
            const { Stage } = await import("/page/stage.js");
            const { colourOf } = await import("/page/palette.js");
            const texts = [];
            let strokes = 0;
            const canvas = document.createElement("canvas");
            const stage = new Stage(canvas, () => {});
            const picture = { canvas: new OffscreenCanvas(200, 200), aspect: 1 };
            picture.canvas.getContext("2d").fillRect(0, 0, 200, 200);
            const parts = Array.from({ length: 10 }, (_, index) => ({
                index, rank: index + 1, contribution: 10 - index, muted: false,
                colour: colourOf(index),
                heatmap: Array.from({ length: 10 }, (_, y) =>
                    Array.from({ length: 10 }, (_, x) => (x === index && y === index ? 1 : 0))),
            }));
            stage.show({ picture, parts, mode: "heat", focus: null, theme: "light" });
            await new Promise((done) => setTimeout(done, 500));
            const pen = canvas.getContext("2d");
            const { fillText, stroke } = pen;
            pen.fillText = (text, ...rest) => {
                texts.push(text);
                fillText.call(pen, text, ...rest);
            };
            pen.stroke = (path) => { strokes += 1; stroke.call(pen, path); };
            stage.draw(pen);
            return { texts, strokes };
        }"""
    )
    assert sorted(map(int, drawn["texts"])) == list(range(1, 11))
    assert drawn["strokes"] == 20  # a white rim and a colour each
