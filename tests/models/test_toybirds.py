import csv
import itertools
import json
import subprocess
import sys
from functools import partial

import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
from PIL import Image
from places import TOYBIRDS
from waiting import until

FOLDER = TOYBIRDS
MODELS = ("toybirds.onnx", "toybirds_vit.onnx")
FRESH = 20_000  # beyond what training, generate.py and check.py draw from a split


def held_out(toybirds, number):
    """`number` scenes of each species that nothing else draws."""
    first = toybirds.SPLITS["test"] + FRESH
    for i, species in itertools.product(range(number), toybirds.SPECIES):
        yield toybirds.scene(first + i, species)


def test_the_same_seed_gives_the_same_bytes(toybirds):
    a = toybirds.draw(toybirds.scene(5, "quilltail"))
    np.random.default_rng().standard_normal(3)  # other users of randomness do not matter
    b = toybirds.draw(toybirds.scene(5, "quilltail"))
    np.testing.assert_array_equal(a.image, b.image)
    assert all(np.array_equal(a.masks[part], b.masks[part]) for part in toybirds.PARTS)


def test_another_seed_gives_another_picture(toybirds):
    images = [toybirds.draw(toybirds.scene(seed, "fenpiper")).image for seed in range(4)]
    for a, b in itertools.combinations(images, 2):
        assert np.abs(a.astype(int) - b).mean() > 10  # of 255: not just other noise (about 2)


def test_any_two_species_differ_in_at_least_five_of_seven_parts(toybirds):
    for a, b in itertools.combinations(toybirds.SPECIES.values(), 2):
        differing = [p for p in toybirds.PARTS if getattr(a, p) != getattr(b, p)]
        assert len(differing) >= 5


def test_every_colour_is_worn_by_several_species_on_several_parts(toybirds):
    for colour in toybirds.PALETTE:
        worn = {
            (name, part)
            for name, species in toybirds.SPECIES.items()
            for part in toybirds.PARTS
            if getattr(species, part).colour == colour
        }
        assert len({name for name, _ in worn}) >= 4
        assert len({part for _, part in worn}) >= 4


def test_no_shape_of_a_part_names_its_species(toybirds):
    for part in toybirds.PARTS:
        shapes = [getattr(species, part).shape for species in toybirds.SPECIES.values()]
        assert min(shapes.count(shape) for shape in shapes) >= 2


def test_a_visible_keypoint_lies_on_its_part_and_a_hidden_one_nowhere(toybirds):
    visible = hidden = 0
    for scene in held_out(toybirds, 3):
        sample = toybirds.draw(scene, size=64)
        for part, (x, y, shown) in sample.keypoints.items():
            if shown:
                assert sample.masks[part][int(y), int(x)]
                visible += 1
            else:
                assert np.isnan(x)
                assert np.isnan(y)
                hidden += 1
    assert visible > 4 * hidden > 0  # parts are lost in some pictures, and only in some


def test_lost_parts_have_no_pixels(toybirds):
    lost = 0
    for scene in held_out(toybirds, 2):
        sample = toybirds.draw(scene, size=64)
        for part in scene.missing:
            assert not sample.masks[part].any()
            lost += 1
    assert lost > 0


def test_leaving_a_part_out_changes_its_own_pixels_and_no_others(toybirds):
    # No tolerance: a mask holds every pixel with a sub-pixel of the part, antialiased edges too.
    for scene in held_out(toybirds, 1):
        whole = toybirds.draw(scene, size=64)
        for part in toybirds.PARTS:
            lacking = toybirds.draw(scene, without={part}, size=64)
            changed = (whole.image != lacking.image).any(axis=2)
            assert not (changed & ~whole.masks[part]).any()
            assert not lacking.masks[part].any()
            # What was covered seldom looks the same; a pixel grazed by an edge can.
            assert changed.sum() >= 0.6 * whole.masks[part].sum()


def test_masks_lie_within_the_bird(toybirds):
    for scene in held_out(toybirds, 1):
        sample = toybirds.draw(scene, size=64)
        for mask in sample.masks.values():
            assert not (mask & ~sample.bird).any()


def test_leaving_out_what_is_no_part_is_refused(toybirds):
    with pytest.raises(ValueError, match="antlers"):
        toybirds.draw(toybirds.scene(0, "fenpiper"), without={"antlers"})


def test_the_splits_share_no_seed(toybirds):
    train, test = toybirds.SPLITS["train"], toybirds.SPLITS["test"]
    assert abs(train - test) >= 1_000_000
    image = toybirds.draw(toybirds.scene(train, "stormjay")).image
    assert not np.array_equal(image, toybirds.draw(toybirds.scene(test, "stormjay")).image)


def test_the_written_folder_holds_the_drawn_pictures_and_their_keypoints(
    toybirds, tmp_path, monkeypatch
):
    out = tmp_path / "birds"
    command = ["generate.py", "--out", str(out), "--train", "1", "--test", "1", "--jobs", "1"]
    monkeypatch.setattr("sys.argv", command)
    toybirds.main()
    sample = toybirds.draw(toybirds.scene(toybirds.SPLITS["test"], "larkspar"))
    stored = np.asarray(Image.open(out / "test" / "larkspar" / "0000.jpg"))
    # JPEG at quality 92 without chroma subsampling moves a channel by about two of 255.
    assert np.abs(stored.astype(int) - sample.image).mean() < 4
    with (out / "parts.csv").open() as table:
        rows = [
            r for r in csv.DictReader(table) if (r["split"], r["species"]) == ("test", "larkspar")
        ]
    for row in rows:
        x, y, visible = sample.keypoints[row["part"]]
        assert row["visible"] == str(int(visible))
        assert (row["x"], row["y"]) == ((str(int(x)), str(int(y))) if visible else ("", ""))
    assert [row["part"] for row in rows] == list(toybirds.PARTS)


def test_without_truth_nothing_is_written_but_pictures_and_keypoints(
    toybirds, tmp_path, monkeypatch, capsys
):
    out, options = (
        tmp_path / "birds",
        ["--train", "1", "--test", "1", "--size", "32", "--jobs", "1"],
    )
    monkeypatch.setattr("sys.argv", ["generate.py", "--out", str(out), *options])
    toybirds.main()
    assert sorted(entry.name for entry in out.iterdir()) == ["parts.csv", "test", "train"]
    assert capsys.readouterr().err.count("test/tidehopper: 1 drawn\n") == 1


def test_another_backdrop_changes_no_sub_pixel_of_the_bird(toybirds, monkeypatch):
    module, canvases = sys.modules[toybirds.draw.__module__], []

    class Kept(module.Canvas):
        def __init__(self, *args):
            super().__init__(*args)
            canvases.append(self)

    monkeypatch.setattr(module, "Canvas", Kept)
    for scene in held_out(toybirds, 1):
        canvases.clear()
        for name in (scene.backdrop, *toybirds.NEW_BACKDROPS):
            toybirds.draw(toybirds.scene(scene.seed, scene.species, name), size=32)
        before, *others = canvases
        bird = before.owner > 0
        for after in others:
            np.testing.assert_array_equal(after.owner, before.owner)
            np.testing.assert_array_equal(after.colour[bird], before.colour[bird])
            changed = (after.colour != before.colour).any(axis=2)
            assert changed[~bird].mean() > 0.5  # twigs and leaves stay as well


def test_an_existing_folder_is_not_overwritten(toybirds, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["generate.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="remove it"):
        toybirds.main()


@pytest.fixture(scope="module")
def fresh(toybirds):
    """Pictures (n, h, w, 3) that no model was trained on, and their species."""
    samples = [toybirds.draw(scene) for scene in held_out(toybirds, 8)]
    return np.stack([s.image for s in samples]), [s.label for s in samples]


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(FOLDER / model, options)


def inputs(images):
    """Pictures (n, h, w, 3) as the networks' input, as preprocess.json says."""
    preprocess = json.loads((FOLDER / "preprocess.json").read_text())
    mean, std = (np.float32(preprocess[key]) for key in ("mean", "std"))
    pixels = (images * np.float32(preprocess["scale"]) - mean) / std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("model", MODELS)
def test_a_committed_model_recognises_95_percent_of_fresh_pictures(model, fresh):
    images, species = fresh
    labels = json.loads((FOLDER / "labels.json").read_text())
    (logits,) = session(model).run(["logits"], {"image": inputs(images)})
    right = [labels[i] == name for i, name in zip(logits.argmax(1), species, strict=True)]
    assert np.mean(right) >= 0.95


@pytest.mark.parametrize("model", MODELS)
def test_a_committed_model_takes_batches_of_any_size(model, fresh):
    images = inputs(fresh[0][:3])
    run = partial(session(model).run, ["logits"])
    one_by_one = [run({"image": images[i : i + 1]})[0] for i in range(3)]
    # Logits are a few units large; sums of another order differ in the sixth digit.
    np.testing.assert_allclose(run({"image": images})[0], np.concatenate(one_by_one), atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_a_committed_model_is_small_and_says_nothing_about_where_it_was_made(model, toybirds):
    path = FOLDER / model
    proto = onnx.load(path)
    assert path.stat().st_size <= 2 * 1024**2
    assert json.loads((FOLDER / "labels.json").read_text()) == sorted(toybirds.SPECIES)
    for thing in (proto, proto.graph, *proto.graph.node, *proto.graph.initializer):
        assert not thing.metadata_props
        assert not thing.doc_string


def test_the_transformer_classifies_its_class_token_alone():
    graph = onnx.load(FOLDER / "toybirds_vit.onnx").graph
    made_by = {name: node for node in graph.node for name in node.output}
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    shape = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    head = made_by["logits"]
    norm = made_by[head.input[0]]
    token = made_by[norm.input[0]]
    assert (head.op_type, norm.op_type, token.op_type) == ("Gemm", "LayerNormalization", "Gather")
    assert stored[token.input[1]] == 0
    # The batch is free; the class token and those of a 16 x 16 grid; their width.
    assert shape[token.input[0]] == [0, 1 + 16 * 16, 96]


def test_a_killed_generator_leaves_no_process_and_the_next_one_begins_anew(tmp_path):
    out = tmp_path / "birds"
    command = [sys.executable, FOLDER / "generate.py", "--out", out, "--jobs", "2"]
    killed = subprocess.Popen([*command, "--train", "400", "--test", "0", "--size", "32"])
    until(lambda: len(list(tmp_path.rglob("*.jpg"))) > 1)
    workers = psutil.Process(killed.pid).children(recursive=True)
    assert len(workers) >= 2
    killed.kill()
    killed.wait()
    until(lambda: not any(worker.is_running() for worker in workers))
    assert not out.exists()
    subprocess.run([*command, "--train", "1", "--test", "0", "--size", "32"], check=True)
    assert len(list(out.rglob("*.jpg"))) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]
