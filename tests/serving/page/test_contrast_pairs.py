"""Two classes, part against part."""

import pytest
from page import SECONDS, explain
from playwright.sync_api import Page, expect

PAIRS = """async ([a, b]) => {
    const { pairsOf } = await import("/page/pairs.js");
    return pairsOf(a, b).map((pair) => pair.map((part) => part?.index ?? null));
}"""


def part(index: int, contribution: float, heatmap: list[list[float]]) -> dict:
    return {"index": index, "name": "", "contribution": contribution, "heatmap": heatmap}


def of(*parts: dict) -> dict:
    return {"prototypes": list(parts)}


LEFT, RIGHT, NOWHERE = [[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, -1.0]]


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        (of(part(0, 3, LEFT), part(1, 2, RIGHT)), of(part(0, 1, RIGHT), part(1, 0.5, LEFT)),
         [[0, 1], [1, 0]]),
        (of(part(0, 3, LEFT), part(1, 2, LEFT)), of(part(0, -4, NOWHERE), part(1, 1, RIGHT)),
         [[1, 0], [0, 1]]),
        (of(part(0, 1, LEFT)), of(part(0, 2, RIGHT), part(1, 1, LEFT)), [[None, 0], [0, 1]]),
        (of(part(0, 1, None)), of(part(0, 2, None)), [[0, 0]]),
    ],
    ids=["same place", "the rest by strength", "one alone", "no heatmaps"],
)  # fmt: skip
def test_parts_at_the_same_place_are_a_pair_and_the_largest_comes_first(modules, a, b, pairs):
    assert modules.evaluate(PAIRS, [a, b]) == pairs


@pytest.fixture(scope="module")
def compared(browser, server, picture):
    """A page that compares the best two classes."""
    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(server)
    explain(page, picture)
    compare(page)
    yield page
    page.close()


def compare(page: Page) -> None:
    page.get_by_role("button", name="Compare with").first.click()
    expect(page.locator("#difference")).to_be_visible()


def test_what_speaks_for_a_class_lies_on_its_side_of_the_middle(compared, predictor, picture):
    page = compared
    a, b = predictor.explain(picture).classes[:2]
    box = page.locator(".pair").first.bounding_box()
    middle = box["x"] + box["width"] / 2
    for side, explained in (("a", a), ("b", b)):
        for prototype in explained.prototypes:
            half = page.locator(f".half[data-side='{side}'][data-index='{prototype.index}']")
            bar = half.locator(".half-bar").bounding_box()
            left = (prototype.contribution >= 0) == (side == "a")
            end = bar["x"] + bar["width"] if left else bar["x"]
            assert end == pytest.approx(middle, abs=1.5)
            crops = half.locator("img").evaluate_all("all => all.map(i => i.src)")
            assert all(f"/evidence/{explained.class_id:05d}/" in crop for crop in crops)


def test_the_title_asks_what_the_numbers_answer(compared):
    title = compared.locator("#class-title")
    for asked in ("Why green, though you asked for red?", "Why green and not red?"):
        compared.get_by_role("button", name="Swap").click()
        expect(title).to_have_text(asked)


def test_what_is_off_is_said_and_switched_on_again(visit, predictor, picture):
    page = visit()
    explain(page, picture)
    page.get_by_role("switch").first.click()
    expect(page.locator(".chance s")).to_be_visible()
    compare(page)
    a, b = predictor.explain(picture).classes[:2]
    expect(page.get_by_text("Switched off: part 1 of green.")).to_be_visible()
    strongest = max(a.prototypes, key=lambda p: p.contribution)
    off = page.locator(".half.off")
    expect(off).to_have_attribute("data-index", str(strongest.index))
    expect(off.locator(".disc")).to_have_text("1")
    page.get_by_role("button", name="Switch all on").click()
    expect(off).to_have_count(0)
    shown = float(page.locator("#difference").get_attribute("data-value"))
    assert shown == pytest.approx(a.logit - b.logit, abs=1e-5)


def test_how_it_adds_up_is_folded_away_and_adds_up(compared):
    lines = compared.locator(".sum-line .number")
    expect(lines.first).to_be_hidden()
    compared.get_by_text("How it adds up").click()
    *terms, total = [float(text.replace("−", "-")) for text in lines.all_inner_texts()]
    # Each line is rounded to two decimals.
    assert sum(terms) == pytest.approx(total, abs=0.005 * (len(terms) + 1))
