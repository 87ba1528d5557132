"""What comes from no place of the picture, on the page."""

import pytest
from http_server import listening
from page import downloaded_words, explain, shown_logit
from playwright.sync_api import expect

from serving.drawing.lettering import percent, signed
from serving.process.settings import Settings

IS = "what the network adds without looking at a place of the picture"


@pytest.fixture(scope="module")
def artifact(two_layers_export):
    return two_layers_export[1]


@pytest.fixture(scope="module")
def plain(tiny_export):
    """A server whose classifier finds a place for everything."""
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    with listening(settings) as address:
        yield f"http://127.0.0.1:{address.port}"


def test_it_is_a_line_of_the_sum_that_says_what_it_is(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    assert shown_logit(page) == best.logit
    line = page.locator("#why .term", has_text="from no place")
    expect(line).to_have_attribute("title", IS)
    expect(line.locator(".number")).to_have_text(signed(best.unplaced, 2))
    expect(page.locator("#why .term", has_text="difference")).to_be_hidden()


def test_where_little_of_the_evidence_has_a_place_the_page_says_how_much(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    assert best.placed < 0.8
    note = f"Only {percent(best.placed)} of this evidence has a place in the picture."
    expect(page.locator("#why .placed")).to_contain_text(note)


def test_a_classifier_that_places_everything_has_no_such_line(visit, plain, picture):
    page = visit(plain)
    explain(page, picture)
    expect(page.locator("#why .how")).to_be_visible()
    expect(page.locator("#why .term", has_text="from no place")).to_have_count(0)
    expect(page.locator("#why .placed")).to_have_count(0)


def test_it_is_a_line_of_a_comparison(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="Compare with").first.click()
    page.get_by_text("How it adds up").click()
    line = page.locator("#why .sum-line", has_text="from no place")
    expect(line).to_have_attribute("title", IS)


def test_the_card_says_how_much_has_a_place(visit, plain, picture):
    for address, expected in ((None, True), (plain, False)):
        page = visit() if address is None else visit(address)
        explain(page, picture)
        assert ("has a place in the picture" in downloaded_words(page)) is expected
