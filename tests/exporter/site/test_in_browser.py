"""A static site in a browser that reaches nothing but the site's files; make embed runs these."""

import base64
import json

import kits
import numpy as np
import onnx
import pytest
import tiny
from chromium import chromium
from http_server import listening
from onnx.parser import parse_model
from page import explain, shown_logit
from playwright.sync_api import expect

from exporter import export
from exporter.site.runtime import runtime_files
from exporter.site.show import shown
from exporter.site.write import write_site
from serving.artifact import Preprocessing
from serving.frozen import frozen
from serving.process.settings import Settings

pytestmark = pytest.mark.embed

# One that resizes and crops, so that the kit's own resampling is in the answers.
HOW = Preprocessing(
    resize=28, crop=24, interpolation="bicubic", mean=(0.1, 0.0, 0.2), std=(0.9, 1.0, 1.1)
)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    config = tiny.write(tmp_path_factory.mktemp("site"))
    return export(config.model_copy(update={"preprocessing": HOW}))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """Of a graph that takes two pictures of bytes, row by row."""
    folder = tmp_path_factory.mktemp("fixed")
    onnx.save(parse_model(kits.FIXED), folder / "fixed.onnx")
    how = Preprocessing(resize=(6, 10), layout="NHWC", scale=1.0)
    changes = {"model": str(folder / "fixed.onnx"), "preprocessing": how, "prototypes": 1}
    return export(tiny.write(folder).model_copy(update=changes))


@pytest.fixture(scope="module")
def artifacts(artifact, fixed, two_layers_export, rounded_export):
    """By the name of their site."""
    return {
        "birds": artifact,
        "two pictures of bytes": fixed,
        "unplaced": two_layers_export[1],
        "rounded": rounded_export[1],
    }


@pytest.fixture(scope="module")
def host(artifacts, tmp_path_factory):
    """The address of a host with a folder for each site, as GitHub Pages has it."""
    kits.node()  # onnxruntime-web must be there
    runtime = runtime_files(kits.EMBED / "node_modules" / "onnxruntime-web")
    root = tmp_path_factory.mktemp("host")
    for name, artifact in artifacts.items():
        answers = frozen(artifact.folder)
        write_site(artifact, root / name, answers=answers, runtime=runtime, piece=5000)
    with shown(root) as address:
        yield address


@pytest.fixture(scope="module")
def browser(host):  # written first: the browser's client brings an event loop of its own
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser, host):
    """Open the site; it must ask for nothing but its own files, and complain of nothing."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    strange, complaints = [], []

    def answer(route):
        own = route.request.url.startswith(host)
        if not own:
            strange.append(route.request.url)
        return route.fallback() if own else route.abort()

    def note(message):
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    context.route("http*://**", answer)
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def opened(at="birds/"):
        page.goto(host + at)
        expect(page.locator("#samples img").first).to_be_visible()
        return page

    yield opened
    context.close()
    assert (strange, complaints) == ([], [])


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture that the tiny classifier takes for green."""
    path = tmp_path_factory.mktemp("pictures") / "green.png"
    tiny.image(1, 502).resize((61, 47)).save(path)
    return path


@pytest.mark.parametrize("at", ["birds/", "birds/index.html"])
def test_it_explains_a_sample_and_shows_its_parts_and_crops(visit, at, artifact):
    page = visit(at)
    page.locator("#samples button").first.click()
    expect(page.locator("#class-title")).to_be_visible()
    switches = page.get_by_role("switch")
    assert switches.count() == artifact.manifest.prototypes
    page.locator("#why img").first.evaluate("image => image.decode()")
    expect(page.locator("#code")).to_be_hidden()


def test_a_part_that_is_switched_off_changes_the_logit_and_on_again_restores_it(visit, picture):
    page = visit()
    explain(page, picture)
    before = shown_logit(page)
    switch = page.get_by_role("switch").first
    switch.click()
    changed = "before => Number(document.querySelector('#logit').dataset.value) {} before"
    page.wait_for_function(changed.format("!=="), arg=before)
    switch.click()
    page.wait_for_function(changed.format("==="), arg=before)


def test_two_classes_are_compared(visit, picture):
    page = visit()
    explain(page, picture)
    page.locator(".compare:not([disabled])").first.click()
    expect(page.locator("#class-title")).to_contain_text("not")


def test_the_classes_are_shown_before_the_model_is_loaded(visit):
    page = visit()
    page.goto(page.url + "#classes")
    expect(page.locator("#cards img").first).to_be_visible()
    loaded = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert not [name for name in loaded if name.endswith(".wasm") or "/graph/" in name]


def test_a_file_that_is_no_picture_is_refused_in_words(visit, tmp_path):
    page = visit()
    (tmp_path / "no.png").write_bytes(b"no picture")
    page.set_input_files("#file", tmp_path / "no.png")
    expect(page.get_by_role("alert")).to_contain_text("no.png")


def test_a_graph_that_does_not_arrive_is_said_and_asked_for_again(visit, picture):
    page = visit()
    page.context.route("**/graph/*", lambda route: route.fulfill(status=404))
    page.set_input_files("#file", picture)
    expect(page.get_by_role("alert")).to_contain_text("graph/steerable.onnx.0 is missing")
    page.context.unroute("**/graph/*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#class-title")).to_be_visible()


ASK = """async ([verb, base64, given]) => {
    const api = await import(new URL("page/api.js", location.href));
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return api[verb](new File([bytes], "a.png"), ...given);
}"""
MUTE = [[1, 0], [0, 0]]
FIELDS = {"mute": ["1:0", "0:0"]}


def require_the_servers(page, artifact, picture, verb, given, fields):
    """The answer of a site's api.js is that of a server of the same artifact."""
    content = picture.read_bytes()
    found = page.evaluate(ASK, [verb, base64.b64encode(content).decode(), given])
    with listening(Settings(artifact=artifact.folder, provider="cpu", threads=1)) as server:
        answer = server.post(f"/v1/{verb}", files={"image": content}, data=fields)
    require_same(found, json.loads(answer.content), verb)


@pytest.mark.parametrize(
    ("verb", "given", "fields"),
    [
        ("explain", [{"heatmaps": "values"}], {"heatmaps": "values"}),
        ("explain", [{"mute": MUTE, "heatmaps": "none"}], {**FIELDS, "heatmaps": "none"}),
        ("contrast", [0, 1, MUTE], {"a": "0", "b": "1", **FIELDS}),
        ("contrast", [2, 1, []], {"a": "2", "b": "1"}),
    ],
)
def test_its_answers_are_the_servers(visit, artifact, picture, verb, given, fields):
    require_the_servers(visit(), artifact, picture, verb, given, fields)


@pytest.mark.parametrize("name", ["birds", "two pictures of bytes", "unplaced", "rounded"])
def test_whatever_the_graph_its_answers_are_the_servers(visit, artifacts, picture, name):
    page = visit(f"{name}/")
    fields = {"classes": ["2", "0"], **FIELDS}
    given = [{"classes": [2, 0], "mute": MUTE}]
    require_the_servers(page, artifacts[name], picture, "explain", given, fields)


def require_same(found, wanted, where):
    """The same names and words, and numbers that differ by rounding alone.

    The browser's runtime adds in another order: 1e-4 of a logit unit is far above that, and far
    below what another picture, mask or class would change.
    """
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for name, value in wanted.items():
            require_same(found[name], value, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for number, pair in enumerate(zip(found, wanted, strict=True)):
            require_same(*pair, f"{where}[{number}]")
    elif isinstance(wanted, float):
        np.testing.assert_allclose(found, wanted, atol=1e-4, err_msg=where)
    else:
        assert found == wanted, where
