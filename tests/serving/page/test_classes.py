"""The classes: searched, filtered, sorted, and their parts to look at twice."""

import pytest
from page import SECONDS
from playwright.sync_api import Page, expect

SELECT = """async ([classes, hash]) => {
    const { readQuery, select } = await import("/page/query.js");
    return select(classes, readQuery(hash)).map(({ id }) => id);
}"""
DOUBT = "Its training images do not look alike."


def record(id: int, label: str, **facts) -> dict:  # noqa: A002 - the answer's own word
    known = {"state": "decomposed", "images": 40, "accuracy": 0.95, "residual_ratio": 0.5}
    return {"id": id, "label": label} | known | facts


CLASSES = [
    record(0, "Horned_Puffin", residual_ratio=0.9),
    record(1, "Águila real", state="whole", images=3, accuracy=None, residual_ratio=None),
    record(2, "Painted_Bunting", accuracy=0.6, images=9, doubts=2),
    record(3, "Atlantic_Puffin", accuracy=0.97),
]


@pytest.mark.parametrize(
    ("hash", "ids"),
    [
        ("#classes", [0, 1, 2, 3]),
        ("#classes?q=puffin", [0, 3]),
        ("#classes?q=PUF+atl", [3]),
        ("#classes?q=aguila", [1]),
        ("#classes?show=split", [0, 2, 3]),
        ("#classes?show=whole", [1]),
        ("#classes?show=sure", [0, 3]),
        ("#classes?show=unsure", [2]),
        ("#classes?show=suspicious", [2]),
        ("#classes?sort=name", [1, 3, 0, 2]),
        ("#classes?sort=accuracy", [2, 0, 3, 1]),
        ("#classes?sort=images", [1, 2, 0, 3]),
        ("#classes?sort=residual", [0, 2, 3, 1]),
        ("#classes?q=puffin&show=sure&sort=name", [3, 0]),
        ("#classes?show=nonsense&sort=nonsense", [0, 1, 2, 3]),
    ],
)
def test_the_address_says_which_classes_and_in_which_order(modules, hash, ids):  # noqa: A002
    assert modules.evaluate(SELECT, [CLASSES, hash]) == ids


@pytest.fixture(scope="module")
def doubtful(browser, server):
    """A page on which the second part of green is one to look at twice, and blue is not split."""

    def classes(route):
        answer = route.fetch().json()
        for number, record in enumerate(answer["classes"]):
            record["doubts"] = int(number == 1)
        answer["classes"][2].update(state="whole", accuracy=0.5)
        route.fulfill(json=answer)

    def prototypes(route):
        answer = route.fetch().json()
        for part in answer["prototypes"]:
            second = answer["label"] == "green" and part["index"] == 1
            part["doubts"] = [{"kind": "mixed", "says": DOUBT}] if second else []
        route.fulfill(json=answer)

    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.route("**/v1/classes", classes)
    page.route("**/v1/classes/*/prototypes", prototypes)
    page.goto(f"{server}/#classes")
    yield page
    page.close()


@pytest.fixture
def wall(doubtful):
    """The classes on that page, all of them."""
    doubtful.get_by_role("link", name="Classes", exact=True).click()
    expect(doubtful.locator("#found")).to_have_text("3 classes.")
    return doubtful


def names(page: Page) -> list[str]:
    return page.locator("#cards .card-name").all_inner_texts()


def test_what_is_chosen_is_in_the_address_and_lives_on(wall):
    page = wall
    page.get_by_label("Show").select_option("split")
    page.get_by_label("Sort by").select_option("name")
    page.get_by_role("searchbox").fill("re")
    assert names(page) == ["green", "red"]
    assert page.url.endswith("#classes?q=re&show=split&sort=name")
    page.reload()
    expect(page.locator("#found")).to_have_text("2 classes of 3.")
    assert names(page) == ["green", "red"]
    page.locator("#cards .card").first.click()
    expect(page.locator("#browser-title")).to_have_text("green")
    page.get_by_role("link", name="All classes").click()
    expect(page.get_by_role("searchbox")).to_have_value("re")
    assert names(page) == ["green", "red"]


def test_only_split_classes_are_counted_as_split(wall):
    page = wall
    expect(page.locator("#browser .lead")).to_contain_text("2 of 3 classes are split into parts")
    blue = page.locator("#cards li", has_text="blue")
    expect(blue).to_contain_text("not split · training accuracy 50.0 %")


def test_suspicious_parts_are_listed_over_all_classes_with_their_doubts(wall):
    page = wall
    page.get_by_role("button", name="Find suspicious parts (1)").click()
    expect(page.locator("#found")).to_have_text("1 part to look at twice, in 1 class.")
    part = page.locator(".suspects .portrait li", has_text=DOUBT)
    expect(part.locator(".part-name")).to_have_text("#1")
    assert part.locator("img").count() > 0
    assert page.url.endswith("#classes?show=suspicious")
    page.locator(".suspects").get_by_role("link", name="green").click()
    expect(page.locator("#browser-title")).to_have_text("green")
    expect(page.locator(".portrait > li", has_text=DOUBT)).to_have_count(1)


def test_without_doubts_nothing_is_suspicious_and_parts_have_their_fixed_names(visit):
    page = visit()

    def older(route):
        """As of an artifact that has no trust.json."""
        answer = route.fetch().json()
        for record in answer["classes"]:
            record["doubts"] = 0
        route.fulfill(json=answer)

    page.route("**/v1/classes", older)
    page.reload()
    page.get_by_role("link", name="Classes").click()
    expect(page.get_by_role("button", name="No suspicious parts")).to_be_disabled()
    page.locator("#cards .card").nth(1).click()
    expect(page.locator(".portrait .part-name")).to_have_text(["#0", "#1"])
    expect(page.locator("#browser")).not_to_contain_text("prototype")
