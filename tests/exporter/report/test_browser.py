"""The report in a real browser: no request, no error, every width, with and without script."""

import pytest
import tiny
from chromium import chromium, complaints
from reports import evaluation

from exporter.pipelines.report import make_report, write_page
from exporter.report import ReportConfig
from serving.artifact import sha256_of


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tiny_export, tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    for index, label in enumerate(tiny.LABELS):
        (root / "data" / label).mkdir(parents=True)
        for number in range(6 if index else 4):  # red has few held-out images: a warning
            tiny.image(index, 500 + number).save(root / "data" / label / f"{number}.png")
    found = evaluation(
        sha256_of(tiny_export[0].out / "manifest.json"),
        baselines=("centre", "random", "cam", "nmf", "naive", "even", "paper", "grad-cam", "rise"),
        consistency=(0.9, 0.1, 0.3),
        occlusion_own=(0.6, -0.3, -0.1),
        completeness=(1e-7, -1e-8, 1e-8),
    )
    (root / "evaluation.json").write_bytes(found.dump())
    made = make_report(
        ReportConfig(
            artifact=tiny_export[0].out,
            data=root / "data",
            evaluation=root / "evaluation.json",
        )
    )
    write_page(made, root / "report.html")
    return (root / "report.html").as_uri()


@pytest.fixture
def visit(browser, address):
    """Open the page; afterwards it must have asked for nothing and complained of nothing."""
    contexts, complaints = [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests(request.url))
        page.goto(address)
        return page

    def requests(url):
        if url != address and not url.startswith("data:"):
            complaints.append(url)

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_fits_every_width(visit, width):
    page = visit(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_script_every_class_and_picture_is_there(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("article").count() == 3
    assert page.locator("article .tile svg").first.is_visible()
    assert page.locator("article .crops svg").first.is_visible()
    assert not page.locator(".tools").is_visible()  # no control that does nothing


def test_classes_are_found_by_name_and_by_warning(visit):
    page = visit()
    page.get_by_label("Find a class").fill("BLU")
    assert page.locator("article:visible").count() == 1
    assert page.locator("#found").inner_text() == "1 class"
    page.get_by_label("Find a class").fill("")
    page.get_by_label("Show").select_option("held-out")
    assert page.locator("article:visible h3").all_inner_texts() == ["red"]


def test_a_link_reaches_a_class_that_the_filter_hides(visit):
    page = visit()
    page.get_by_label("Find a class").fill("blue")
    page.evaluate("location.hash = '#class-0'")
    page.locator("#class-0").wait_for(state="visible")


def test_an_image_opens_large_and_keys_step_through_its_prototypes(visit):
    page = visit()
    page.locator("article .tile button").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("[aria-pressed=true]").inner_text() == "photograph"
    dialog.get_by_label("Part #1").click()
    assert dialog.locator("[aria-pressed=true]").inner_text() == "#1"
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_the_letters_are_those_of_the_page_of_the_service(visit):
    page = visit()
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].map((f) => `${f.family} ${f.status}`)") == [
        "Aileron loaded"
    ]


def test_a_warning_leads_to_the_classes_it_speaks_of(visit):
    page = visit()
    page.locator("#rule-held-out .amount").click()
    assert page.locator("article:visible h3").all_inner_texts() == ["red"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_every_fold_open(visit, scheme):
    page = visit(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert complaints(page) == []
