"""Each kit, from a golden picture's file to its overlay, gives what the artifact recorded."""

import functools
import http.server
import json
import shutil
import threading

import kits
import numpy as np
import onnx
import pytest
import tiny
from onnx.parser import parse_model
from PIL import Image
from playwright.sync_api import sync_playwright

from exporter import export
from serving.artifact import Preprocessing
from serving.drawing.peaks import upsample
from serving.model.golden import GOLDEN_TOLERANCE, golden_pictures, read_pictures
from serving.model.predictor import Predictor

pytestmark = pytest.mark.embed

PYTHON = ("onnxruntime", "openvino", "opencv", "reference")
PLAIN = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
# WebGPU on the processor, where there is no other.
SOFTWARE = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
]
BROWSERS = {"browser": PLAIN, "browser with WebGPU": [*PLAIN, *SOFTWARE]}
KITS = (*BROWSERS, "node", "cpp", *PYTHON)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The tiny classifier under a preprocessing that resizes and crops."""
    config = tiny.write(tmp_path_factory.mktemp("kits"))
    how = Preprocessing(
        resize=28, crop=24, interpolation="bicubic", mean=(0.1, 0.0, 0.2), std=(0.9, 1.0, 1.1)
    )
    return export(config.model_copy(update={"preprocessing": how}))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(artifact):
    """The address of a folder with the kits and the artifact, as any server of files gives it."""
    root = artifact.folder.parent / "site"
    root.mkdir()
    (root / "embed").symlink_to(kits.EMBED)
    (root / "artifact").symlink_to(artifact.folder)

    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def pages(site):
    """Opens the kit's page in a browser with or without WebGPU, once each."""
    kits.node()  # the packages must be there
    path = kits.program("chromium", "chromium")
    with sync_playwright() as playwright:

        @functools.cache
        def opened(kit):
            browser = playwright.chromium.launch(executable_path=path, args=BROWSERS[kit])
            page = browser.new_context().new_page()
            page.goto(f"{site}/embed/browser/?artifact=/artifact")
            page.get_by_text("Choose an image.").wait_for()
            return page

        yield opened


EXPLAIN = """async (url) => {
    const { decode, open } = await import("/embed/browser/explain.js");
    const { numbersOf } = await import("@protohead/embed");
    window.kit ??= await open("/artifact");
    const picture = await decode(await (await fetch(url)).blob());
    return numbersOf((await window.kit.answer(picture)).classes);
}"""


@pytest.fixture(scope="module")
def explained(request, artifact, tmp_path_factory):
    """Runs a kit on each golden picture: the classes and the overlay of each, made once."""
    folder = tmp_path_factory.mktemp("overlays")

    @functools.cache
    def run(kit):
        found = []
        for path in golden_pictures(artifact):
            out = folder / f"{kit}-{path.name}"
            if kit in BROWSERS:
                page = request.getfixturevalue("pages")(kit)
                page.set_input_files("input", path)
                page.get_by_text("logit").wait_for()
                page.locator("canvas").screenshot(path=out)
                found.append((page.evaluate(EXPLAIN, f"/artifact/golden/{path.name}"), out))
                continue
            found.append((json.loads(kits.said(*command(kit), artifact.folder, path, out)), out))
        return found

    @functools.cache
    def command(kit):
        if kit == "node":
            return (kits.node(), kits.EMBED / "node" / "explain.js")
        if kit == "cpp":
            return (kits.cpp_kit(folder / "explain"),)
        return tuple(kits.python_kit(kit))

    run.command = command
    return run


@pytest.mark.parametrize("kit", KITS)
def test_from_the_file_on_a_kit_gives_the_recorded_outputs(kit, explained, artifact):
    recorded = read_pictures(artifact).outputs
    scale = np.abs(recorded["logits"]).max()
    for row, (classes, _) in enumerate(explained(kit)):
        assert [one["id"] for one in classes] == recorded["class_ids"][row].tolist()
        for slot, one in enumerate(classes):
            found = [p["contribution"] for p in one["prototypes"]]
            wanted = recorded["contributions"][row, slot]
            np.testing.assert_allclose(found, wanted, atol=GOLDEN_TOLERANCE * scale)
            np.testing.assert_allclose(
                one["logit"], recorded["logits"][row, one["id"]], atol=GOLDEN_TOLERANCE * scale
            )


@pytest.mark.parametrize("kit", KITS)
def test_what_a_kit_gives_sums_to_the_logit(kit, explained):
    for classes, _ in explained(kit):
        for one in classes:
            total = sum(p["contribution"] for p in one["prototypes"])
            total += sum(one[name] for name in ("bias", "common", "unplaced", "rounding"))
            assert total == pytest.approx(one["logit"], abs=1e-4)
        assert classes[0]["probability"] == max(one["probability"] for one in classes)


@pytest.mark.parametrize("kit", KITS)
def test_a_kit_finds_the_peaks_that_the_server_finds(kit, explained, artifact):
    recorded = read_pictures(artifact).outputs["heatmaps"]
    for row, (classes, _) in enumerate(explained(kit)):
        for slot, one in enumerate(classes):
            for heatmap, prototype in zip(recorded[row, slot], one["prototypes"], strict=True):
                drawn = upsample(heatmap, artifact.manifest.input.preprocessing.size)
                x, y = prototype["peak"]
                assert drawn[y, x] >= drawn.max() - 1e-4 * np.abs(drawn).max()


@pytest.mark.parametrize("kit", KITS)
def test_the_overlay_shows_the_picture_and_each_prototype_in_its_colour(kit, explained):
    for classes, out in explained(kit):
        with Image.open(out) as overlay:
            pixels = np.asarray(overlay.convert("RGB"), dtype=int)
        tiles = len(classes[0]["prototypes"]) + 1
        assert pixels.shape[1] == 14 + tiles * (224 + 14)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
        assert (pixels == 28).any()  # letters


PROGRAMS = ("node", "cpp", "onnxruntime")


@pytest.mark.parametrize("kit", PROGRAMS)
def test_a_file_that_is_no_picture_is_refused_in_one_line(kit, explained, artifact, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    out = tmp_path / "out.png"
    kits.complaint(*explained.command(kit), artifact.folder, tmp_path / "no.png", out)
    assert not out.exists()


@pytest.mark.parametrize("kit", PROGRAMS)
def test_a_folder_that_is_no_artifact_is_refused_in_one_line(kit, explained, artifact, tmp_path):
    picture = golden_pictures(artifact)[0]
    line = kits.complaint(*explained.command(kit), tmp_path, picture, tmp_path / "out.png")
    assert "manifest.json" in line


@pytest.mark.parametrize("kit", PROGRAMS)
def test_an_overlay_that_cannot_be_written_is_said_in_one_line(kit, explained, artifact, tmp_path):
    picture = golden_pictures(artifact)[0]
    nowhere = tmp_path / "nowhere" / "out.png"
    assert "nowhere" in kits.complaint(*explained.command(kit), artifact.folder, picture, nowhere)


@pytest.mark.parametrize("kit", PROGRAMS)
def test_a_damaged_graph_is_refused_in_one_line(kit, explained, artifact, tmp_path):
    folder = tmp_path / "artifact"
    shutil.copytree(artifact.folder, folder)
    (folder / "model.onnx").write_bytes(b"no graph")
    out = tmp_path / "out.png"
    assert kits.complaint(*explained.command(kit), folder, golden_pictures(artifact)[0], out)


@pytest.mark.parametrize("kit", PROGRAMS)
def test_another_format_is_refused(kit, explained, artifact, tmp_path):
    folder = tmp_path / "artifact"
    shutil.copytree(artifact.folder, folder)
    text = (folder / "manifest.json").read_text().replace("protohead/1", "protohead/9")
    (folder / "manifest.json").write_text(text)
    picture = golden_pictures(artifact)[0]
    line = kits.complaint(*explained.command(kit), folder, picture, tmp_path / "out.png")
    assert "protohead/1" in line
    assert "protohead/9" in line


PROVIDERS = "async () => (await import('/embed/browser/explain.js')).providers()"


def test_the_browser_takes_webgpu_where_there_is_one(pages):
    assert pages("browser").evaluate(PROVIDERS) == ["wasm"]
    assert pages("browser with WebGPU").evaluate(PROVIDERS) == ["webgpu", "wasm"]


def test_the_page_of_the_kit_says_what_it_expects(pages, site):
    visit = pages("browser").context.new_page()
    visit.goto(f"{site}/embed/browser/")
    visit.get_by_text("Expected the address of an artifact").wait_for()
    visit.goto(f"{site}/embed/browser/?artifact=/nowhere")
    visit.get_by_text("/nowhere/manifest.json: expected a file, the server says 404.").wait_for()
    visit.close()


@pytest.mark.parametrize("kit", PROGRAMS)
def test_a_graph_of_two_pictures_of_bytes_row_by_row(kit, explained, tmp_path):
    """uint8, NHWC, a fixed batch, sides that differ."""
    onnx.save(parse_model(kits.FIXED), tmp_path / "fixed.onnx")
    config = tiny.write(tmp_path)
    how = Preprocessing(resize=(6, 10), layout="NHWC", scale=1.0)
    changes = {"model": str(tmp_path / "fixed.onnx"), "preprocessing": how, "prototypes": 1}
    artifact = export(config.model_copy(update=changes))
    recorded = read_pictures(artifact).outputs
    for row, picture in enumerate(golden_pictures(artifact)):
        command = explained.command(kit)
        found = json.loads(kits.said(*command, artifact.folder, picture, tmp_path / "out.png"))
        assert [one["id"] for one in found] == recorded["class_ids"][row].tolist()
        logits = [one["logit"] for one in found]
        wanted = recorded["logits"][row, recorded["class_ids"][row]]
        np.testing.assert_allclose(logits, wanted, rtol=1e-4)


def test_a_kit_is_no_longer_than_it_promises():
    for folder in ("browser", "node", "cpp", "python"):
        files = [p for p in (kits.EMBED / folder).iterdir() if p.stem in ("explain", "index")]
        assert sum(len(path.read_text().splitlines()) for path in files) <= 100, folder


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A photograph as a camera that was held upright stores it: a JPEG on its side."""
    generator = np.random.default_rng(3)
    small = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    orientation = Image.Exif()
    orientation[0x0112] = 6  # a quarter to the right
    path = tmp_path_factory.mktemp("turned") / "photo.jpg"
    photograph = small.resize((321, 203), Image.Resampling.BICUBIC)
    photograph.save(path, quality=85, exif=orientation)
    return path


@pytest.mark.parametrize("kit", ["node", "onnxruntime"])
def test_a_photograph_is_turned_as_by_the_server(kit, turned, explained, artifact, tmp_path):
    printed = kits.said(*explained.command(kit), artifact.folder, turned, tmp_path / "out.png")
    wanted = Predictor(artifact, threads=1).explain(turned).classes[0]
    assert json.loads(printed)[0]["logit"] == pytest.approx(wanted.logit, abs=1e-5)


def test_the_browser_turns_it_too(turned, pages, artifact):
    page = pages("browser")
    page.set_input_files("input", turned)
    wanted = Predictor(artifact, threads=1).explain(turned).classes[0]
    page.get_by_text(f"{wanted.label}, logit {wanted.logit:.3f}").wait_for()


def test_a_program_that_is_asked_nothing_says_what_it_expects(explained):
    for kit in ("node", "cpp"):
        assert "expected three arguments: ARTIFACT IMAGE" in kits.complaint(*explained.command(kit))
