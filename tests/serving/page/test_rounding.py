"""What a quantised head adds by rounding, on the page."""

import pytest
from page import explain, shown_logit
from playwright.sync_api import expect

from serving.drawing.lettering import signed


@pytest.fixture(scope="module")
def artifact(rounded_export):
    return rounded_export[1]


def test_it_is_a_line_of_the_sum(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    best = predictor.explain(picture).classes[0]
    assert shown_logit(page) == best.logit
    line = page.locator("#why .term", has_text="rounding to 8 bits")
    expect(line.locator(".number")).to_have_text(signed(best.rounding, 2))
    expect(page.locator("#why .term", has_text="difference")).to_be_hidden()


def test_it_is_a_line_of_a_comparison(visit, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#why .sum-line", has_text="rounding to 8 bits")).to_have_count(1)
