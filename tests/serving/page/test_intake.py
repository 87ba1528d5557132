"""What becomes of a picked file before it is sent."""

import io

import numpy as np
import pytest
from http_server import listening
from page import explain, shown_logit
from PIL import Image
from playwright.sync_api import expect

from serving.process.settings import Settings

PREPARE = """async ([name, bytes, limits]) => {
    const { prepare } = await import("/page/prepare.js");
    const model = await (await fetch("/v1/model")).json();
    const file = new File([new Uint8Array(bytes)], name);
    try {
        const taken = await prepare(file, { ...model, limits: { ...model.limits, ...limits } });
        const bitmap = await createImageBitmap(taken.file).catch(() => null);
        return {
            note: taken.note,
            same: taken.file === file,
            shown: taken.picture !== null,
            bytes: taken.file.size,
            size: bitmap && [bitmap.width, bitmap.height],
        };
    } catch (error) {
        return { title: error.title, detail: error.detail };
    }
}"""


def encoded(size: tuple[int, int], form: str = "PNG", noise: int = 0, **options) -> list[int]:
    """A grey picture; no format makes one of much noise small."""
    shape = (size[1], size[0], 3)
    pixels = np.random.default_rng(0).integers(0, noise + 1, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return list(buffer.getvalue())


@pytest.mark.parametrize(
    ("content", "title", "advice"),
    [
        (b"", "That is an empty file", "holds nothing"),
        (b"%PDF-1.7\n", "That is a PDF", "no picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "That is a HEIC photo", "Export it.heic as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "That is a video", "no picture"),
        (b"II*\0\x10\0\0\0", "That is a TIFF or raw photo", "Export it.heic as JPEG"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', "That is an SVG drawing", "Export"),
        (b"PK\x03\x04", "That is a ZIP archive or an office document", "no picture"),
    ],
)
def test_a_file_that_is_no_picture_is_named(modules, content, title, advice):
    refusal = modules.evaluate(PREPARE, ["it.heic", list(content), {}])
    assert refusal["title"] == title
    assert advice in refusal["detail"]


def test_a_picture_within_the_limits_is_sent_as_it_is(modules):
    taken = modules.evaluate(PREPARE, ["a.png", encoded((40, 30)), {"max_pixels": 1200}])
    assert taken["same"]
    assert taken["shown"]
    assert taken["note"] == ""


def test_a_picture_of_too_many_pixels_is_shrunk_as_little_as_may_be(modules):
    given = ["a.jpg", encoded((1000, 800), "JPEG"), {"max_pixels": 200_000}]
    taken = modules.evaluate(PREPARE, given)
    assert taken["size"] == [500, 400]
    said = "shrunk from 0.8 MP to 0.2 MP: the numbers are of the smaller picture"
    assert taken["note"] == said
    assert taken["shown"]


def test_a_picture_of_too_many_bytes_is_made_to_fit(modules):
    most = 60_000
    taken = modules.evaluate(PREPARE, ["a.png", encoded((300, 200), noise=255), {"max_body": most}])
    assert taken["bytes"] < most  # the form around it counts too
    assert taken["note"] != ""


def test_a_shrunk_photograph_stands_upright(modules):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    given = ["a.jpg", encoded((400, 200), "JPEG", exif=exif), {"max_pixels": 20_000}]
    assert modules.evaluate(PREPARE, given)["size"] == [100, 200]


def test_what_only_the_server_may_know_is_left_to_it(modules):
    taken = modules.evaluate(PREPARE, ["a.raw", list(b"whatever this is"), {}])
    assert taken["same"]
    assert not taken["shown"]


def test_the_page_says_that_its_numbers_are_of_a_smaller_picture(visit, artifact, tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(bytes(encoded((60, 60))))
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, max_pixels=1000)
    with listening(settings) as address:
        page = visit(address.url)
        explain(page, path)
        said = "shrunk from 60 × 60 to 31 × 31: the numbers are of the smaller picture"
        expect(page.locator("#result")).to_contain_text(said)
        assert np.isfinite(shown_logit(page))
        page.get_by_role("button", name="As code").click()
        expect(page.locator("#recipe-python")).to_contain_text(
            f"# The page sent the picture {said}"
        )
        page.context.close()


def test_an_empty_file_is_not_sent(visit, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    page = visit()
    expect(page.locator("#samples button").first).to_be_visible()
    page.set_input_files("#file", empty)
    expect(page.get_by_role("alert")).to_contain_text("That is an empty file")
    assert [url for url in visit.requests() if url.endswith("/v1/explain")] == []
