"""The page below a path prefix, as different proxies offer it."""

import re

import pytest
from page import DECODED, explain
from playwright.sync_api import expect

PREFIX = "/birds"


@pytest.mark.parametrize(
    ("opened", "cut_off", "named"),
    [
        (PREFIX + "/", True, True),
        (PREFIX + "/", True, False),
        (PREFIX + "/", False, True),
        (PREFIX, True, True),
        (PREFIX, False, True),
    ],
)
def test_it_explains_and_shows_its_evidence_below_a_prefix(
    visit, server, picture, opened, cut_off, named
):
    page = visit("about:blank")

    def through_the_proxy(route):
        url = route.request.url
        assert url.startswith(server + PREFIX), url  # nothing is asked for beside the prefix
        headers = route.request.headers
        if named:
            headers["x-forwarded-prefix"] = PREFIX
        if cut_off:
            url = server + (url.removeprefix(server + PREFIX) or "/")
        route.continue_(url=url, headers=headers)

    page.route(re.compile(r"^http"), through_the_proxy)
    page.goto(server + opened)
    expect(page.locator("#samples img").first).to_be_visible()
    explain(page, picture)
    crop = page.locator("#why img").first
    expect(crop).to_be_visible()
    crop.evaluate(DECODED)
