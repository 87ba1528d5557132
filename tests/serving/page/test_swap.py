"""An open page while the server goes away, comes back, or serves another model."""

import pytest
from http_server import listening
from page import DECODED, explain, relabel
from playwright.sync_api import expect
from waiting import until

from serving.process.settings import Settings

OTHERS = ("rot", "gruen", "blau")


@pytest.fixture
def swapping(artifact, tmp_path):
    """A server's address, and what points its link to the same model under other labels."""
    other = relabel(artifact, tmp_path / "other", OTHERS)
    link = tmp_path / "served"
    link.symlink_to(artifact.folder)
    with listening(Settings(artifact=link, provider="cpu", threads=1, reload=0.05)) as address:

        def artifact_now() -> str:
            return address.get("/v1/model").json()["artifact"]

        def swap() -> None:
            before = artifact_now()
            (tmp_path / "fresh").symlink_to(other)
            (tmp_path / "fresh").replace(link)
            until(lambda: artifact_now() != before)

        yield address.url, swap


WISHES = {
    "switch": lambda page: page.get_by_role("switch").first.click(),
    "compare": lambda page: page.get_by_role("button", name="Compare with").first.click(),
    "another class": lambda page: page.get_by_label("Another class").select_option("blue"),
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
def test_a_replaced_model_is_told_and_explains_the_picture_anew(visit, swapping, picture, wish):
    address, swap = swapping
    page = visit(address)
    page.goto(f"{address}/#class-1")  # its crops are remembered
    expect(page.locator(".portrait img").first).to_be_visible()
    page.goto(f"{address}/#")
    explain(page, picture)
    swap()
    wish(page)
    expect(page.get_by_role("alert")).to_contain_text("The model was replaced")
    expect(page.locator("#class-title")).to_have_text("gruen")
    expect(page.locator("#alert-retry")).to_be_hidden()
    assert page.locator("#predictions .prediction-name").first.inner_text() == "gruen"
    assert page.locator("#other option").all_inner_texts() == list(OTHERS)
    expect(page.locator("#why .off")).to_have_count(0)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    expect(page.locator("#alert")).to_be_hidden()  # told once
    page.goto(f"{address}/#class-1")
    expect(page.locator("#browser-title")).to_have_text("gruen")
    page.locator(".portrait img").first.evaluate(DECODED)
    page.context.close()


def test_a_picture_given_while_the_server_is_away_brings_the_samples_too(visit, server, picture):
    page = visit("about:blank")
    page.route("**/v1/**", lambda route: route.abort())
    page.goto(server)
    expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    page.unroute("**/v1/**")
    explain(page, picture)
    page.get_by_role("button", name="New picture").click()
    expect(page.locator("#samples button").first).to_be_visible()


def test_a_refused_file_leaves_the_address_as_it_is(visit, server, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not a picture")
    page = visit(f"{server}/#class-2")
    expect(page.locator("#browser-title")).to_have_text("blue")
    page.set_input_files("#file", notes)
    expect(page.get_by_role("alert")).to_contain_text("That file is not a picture")
    expect(page.get_by_role("alert")).to_contain_text("(JPEG, PNG, WebP, GIF, BMP)")
    expect(page.get_by_role("alert")).to_contain_text("notes.txt")
    assert page.url.endswith("/#class-2")
    expect(page.locator("#browser-title")).to_be_visible()
