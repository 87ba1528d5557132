"""axe finds nothing to complain about, whatever the page shows."""

import pytest
from chromium import complaints
from page import explain
from playwright.sync_api import expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1440, "height": 900}}


@pytest.mark.parametrize(
    "screen",
    [WIDE | {"color_scheme": "light"}, PHONE | {"color_scheme": "dark"}],
    ids=["wide", "phone"],
)
def test_axe_finds_nothing(visit, picture, screen):
    page = visit(**screen)
    expect(page.locator("#samples button").first).to_be_visible()
    assert complaints(page) == []
    explain(page, picture)
    page.get_by_text("How it adds up").click()
    page.get_by_role("switch").last.click()
    expect(page.locator(".chance s")).to_be_visible()
    page.mouse.move(2, 2)
    assert complaints(page) == []
    page.locator(".lookalikes button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#difference")).to_be_visible()
    page.get_by_text("How it adds up").click()
    assert complaints(page) == []
    page.get_by_role("link", name="Classes").click()
    expect(page.locator("#cards .card").first).to_be_visible()
    assert complaints(page) == []
    page.locator("#cards .card").first.click()
    expect(page.locator("#browser-title")).to_have_text("red")
    assert complaints(page) == []
