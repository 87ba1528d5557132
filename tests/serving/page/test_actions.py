"""What the page's controls do: code, downloads, keys, and what is in view after them."""

import json
import subprocess
import sys

import pytest
from http_server import listening
from page import downloaded_words, explain
from playwright.sync_api import Page, expect
from waiting import until

from serving.process.settings import Settings

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def in_view(page: Page, selector: str) -> bool:
    return page.locator(selector).evaluate(
        "n => (({top, bottom}) => top >= 0 && bottom <= innerHeight)(n.getBoundingClientRect())"
    )


def compare(page: Page, picture) -> None:
    """Switch the strongest prototype off and compare the best two classes."""
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    page.get_by_role("button", name="Compare with").nth(1).click()
    expect(page.locator("#difference")).to_be_visible()


def test_the_code_of_a_comparison_gives_the_shown_difference(visit, picture):
    page = visit()
    compare(page, picture)
    shown = float(page.locator("#difference").get_attribute("data-value"))
    page.get_by_role("button", name="As code").click()
    program = page.locator("#recipe-python").inner_text()
    program += '\nprint(contrast["logit_difference"])\n'
    run = [sys.executable, "-c", program]
    python = subprocess.run(run, cwd=picture.parent, capture_output=True, text=True, check=True)
    assert float(python.stdout.splitlines()[-1]) == shown
    command = page.locator("#recipe-curl").inner_text()
    curl = subprocess.run(command, shell=True, cwd=picture.parent, capture_output=True, check=True)
    assert json.loads(curl.stdout)["logit_difference"] == shown


def test_the_code_for_a_closed_server_names_the_token_and_never_tells_it(
    visit, artifact, picture, tmp_path
):
    secret = "open sesame"
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{secret}\n")
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, tokens=tokens)
    with listening(settings) as address:
        page = visit(address.url)
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#samples button").first).to_be_visible()
        explain(page, picture)
        page.get_by_role("button", name="As code").click()
        command = page.locator("#recipe-curl").inner_text()
        program = page.locator("#recipe-python").inner_text()
        assert secret not in command + program
        for run in (["bash", "-c", command], [sys.executable, "-c", program]):
            answer = subprocess.run(
                run,
                cwd=picture.parent,
                env={"PATH": "/usr/bin:/bin", "TOKEN": secret},
                capture_output=True,
                text=True,
                check=True,
            )
            assert "green" in answer.stdout
        page.context.close()


def test_the_code_for_an_open_server_needs_no_token(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="As code").click()
    assert "TOKEN" not in page.locator("#code-dialog").inner_text()


def test_while_a_number_is_computed_no_old_one_is_said(visit, picture):
    page = visit()
    explain(page, picture)
    expect(page.locator("#status")).to_contain_text("green")
    held = []
    page.route("**/v1/explain", lambda route: held.append(route))
    page.get_by_role("switch").first.click()
    expect(page.locator("body")).to_have_class("busy")
    expect(page.locator("#status")).to_have_text("")
    held[0].continue_()
    page.unroute("**/v1/explain")
    expect(page.locator("#status")).to_contain_text("Best:")


def test_the_arrow_keys_reach_every_class(visit, picture):
    page = visit()
    explain(page, picture)
    other = page.get_by_label("Another class")
    expect(other).to_have_value("1")  # green, which is shown
    other.focus()
    for key, label in [("ArrowDown", "blue"), ("ArrowUp", "green"), ("ArrowUp", "red")]:
        page.keyboard.press(key)
        expect(page.locator("#class-title")).to_have_text(label)


def test_after_a_swap_the_heading_is_in_view_and_comparing_goes_on_from_it(visit, picture):
    page = visit(viewport={"width": 1200, "height": 500})
    explain(page, picture)
    page.get_by_label("Another class").select_option("blue")
    expect(page.locator("#class-title")).to_have_text("blue")
    page.get_by_role("button", name="Compare with green").click()
    expect(page.locator("#class-title")).to_have_text("Why green, though you asked for blue?")
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#class-title")).to_have_text("Why green and not blue?")
    expect(page.locator("#class-title")).to_be_focused()
    assert in_view(page, "#class-title")
    assert page.locator("#other option:checked").inner_text() == "green"
    page.get_by_role("button", name="Compare with red").click()
    expect(page.locator("#class-title")).to_have_text("Why green and not red?")


def test_on_a_phone_a_comparison_comes_into_view(visit, picture):
    page = visit(**PHONE)
    explain(page, picture)
    page.get_by_role("button", name="Compare with").first.tap()
    expect(page.locator("#difference")).to_be_visible()
    assert in_view(page, "#class-title")
    title, seen = (page.locator(name).bounding_box() for name in ("#class-title", "#figures"))
    assert title["y"] >= seen["y"] + seen["height"]  # not behind the picture


def test_the_downloaded_picture_says_what_is_switched_off(visit, picture):
    page = visit()
    compare(page, picture)
    said = downloaded_words(page)
    assert "(off)" in said
    assert "Switched off: part 1 of green" in said


def test_the_downloaded_picture_of_another_class_says_what_is_switched_off(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    page.get_by_label("Another class").select_option("blue")
    expect(page.locator("#class-title")).to_have_text("blue")
    said = downloaded_words(page)
    assert "Switched off: " in said
    assert "of green" in said
    assert "(off)" not in said


@pytest.mark.parametrize("width", [1200, 390])
def test_the_numbers_of_a_comparison_end_at_its_rule(visit, picture, width):
    page = visit(viewport={"width": width, "height": 900})
    compare(page, picture)
    page.get_by_text("How it adds up").click()
    rule = page.locator("#why .sum-total").bounding_box()
    end = rule["x"] + rule["width"]
    numbers = page.locator("#why .number").all()
    assert len(numbers) > 2
    for number in numbers:
        box = number.bounding_box()
        assert box["x"] + box["width"] == pytest.approx(end, abs=1)


def test_the_pictures_of_a_comparison_are_large(visit, picture):
    page = visit()
    compare(page, picture)
    for stage in ("#stage", "#stage-b"):  # they grow while they are laid out
        until(lambda stage=stage: page.locator(stage).bounding_box()["width"] >= 280)


def test_on_a_phone_the_picture_stays_while_the_parts_go_by(visit, picture):
    page = visit(**PHONE | {"viewport": {"width": 390, "height": 500}})
    explain(page, picture)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert in_view(page, "#stage")
    page.get_by_role("switch").last.scroll_into_view_if_needed()
    pixels = "document.getElementById('stage').toDataURL()"
    shown = page.evaluate(pixels)
    page.get_by_role("switch").first.tap()
    expect(page.locator(".chance s")).to_be_visible()
    page.wait_for_function(f"shown => {pixels} !== shown", arg=shown)


def test_on_a_phone_a_chip_isolates_its_part(visit, picture):
    page = visit(**PHONE)
    explain(page, picture)
    pixels = "document.getElementById('stage').toDataURL()"
    together = page.evaluate(pixels)
    page.locator(".chip").first.tap()
    page.wait_for_function(f"shown => {pixels} !== shown", arg=together)
    page.locator(".chip").first.tap()
    page.wait_for_function(f"shown => {pixels} === shown", arg=together)


def test_a_phone_is_offered_what_it_can_do(visit):
    page = visit(**PHONE)
    expect(page.locator("#samples button").first).to_be_visible()
    expect(page.get_by_text("drop it anywhere")).to_be_hidden()
    tops = [sample.bounding_box()["y"] for sample in page.locator("#samples button").all()[:4]]
    assert len(set(tops)) == (len(tops) + 1) // 2
