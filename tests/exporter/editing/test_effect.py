"""Which images change when a prototype is muted, from arrays alone."""

import numpy as np
import pytest
import tiny

import exporter
from exporter.editing.effect import Change, best_when_muted, sha256_of_images
from exporter.images.dataset import read_dataset
from serving.model.predictor import Predictor


def slow(logits, contributions, class_ids):
    """Each prototype on its own, as the definition says."""
    best = np.empty(contributions.shape, np.int64)
    for n, slot, k in np.ndindex(*contributions.shape):
        muted = logits[n].copy()
        muted[class_ids[n, slot]] -= contributions[n, slot, k]
        best[n, slot, k] = muted.argmax()
    return best


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_it_is_what_muting_one_by_one_gives(classes, step):
    generator = np.random.default_rng(classes)
    logits = generator.normal(size=(50, classes)).astype(np.float32)
    contributions = generator.normal(size=(50, classes, 3)).astype(np.float32)
    if step:  # many equal logits: of them the first class is best
        logits, contributions = (
            np.round(a / step) * np.float32(step) for a in (logits, contributions)
        )
    every = np.tile(np.arange(classes), (50, 1))
    expected = slow(logits, contributions, every)
    np.testing.assert_array_equal(best_when_muted(logits, contributions), expected)
    some = np.array([generator.permutation(classes)[:2] for _ in range(50)])
    chosen = np.take_along_axis(contributions, some[:, :, None], axis=1)
    np.testing.assert_array_equal(best_when_muted(logits, chosen, some), slow(logits, chosen, some))


def test_it_foretells_what_an_edited_artifact_answers(tiny_export, tmp_path):
    artifact = tiny_export[1]
    predictor = Predictor(artifact)
    pictures = [tiny.image(label, number) for label in range(3) for number in range(60, 70)]
    batch = np.stack([predictor.preprocess(picture)[1] for picture in pictures])
    outputs = predictor.run(batch, classes=np.tile(np.arange(3), (len(batch), 1)))
    foretold = best_when_muted(outputs.logits, outputs.contributions)
    edited = exporter.edit(artifact.folder, tmp_path / "edited", reason="r", mute=[("green", 1)])
    found = Predictor(edited).run(batch).logits.argmax(axis=1)
    np.testing.assert_array_equal(foretold[:, 1, 1], found)
    assert (found != outputs.logits.argmax(axis=1)).any()


def test_changes_are_counted_by_what_was_right():
    labels, before, after = np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 0], [0, 0, 2, 0, 1]])
    change = Change(labels, before, after)
    assert change.changed.tolist() == [False, True, True, True, True]
    assert change.corrected.tolist() == [False, True, False, False, True]
    assert change.broken.tolist() == [False, False, False, True, False]
    of_class = change.of_class(1)
    assert (of_class.images, of_class.recognised_before, of_class.recognised_after) == (2, 1, 1)
    assert (of_class.predicted_before, of_class.predicted_after) == (3, 1)


def images_hash(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    options = {"class_count": 2, "labels": ["a", "b"], "max_images": 10, "seed": 0}
    return sha256_of_images(read_dataset(root, **options))


def test_images_are_the_same_by_their_bytes_and_their_names_below_the_folder(tmp_path):
    files = {"a/1.png": b"one", "b/2.png": b"two"}
    found = images_hash(tmp_path / "here", files)
    assert images_hash(tmp_path / "elsewhere", files) == found
    others = [
        {"a/1.png": b"one", "b/2.png": b"too"},
        {"a/1.png": b"one", "b/3.png": b"two"},
        {"a/2.png": b"one", "b/1.png": b"two"},
        {"a/1.png": b"on", "b/2.png": b"etwo"},
        {"a/1.png": b"one"},
    ]
    hashes = {images_hash(tmp_path / str(n), other) for n, other in enumerate(others)}
    assert len(hashes - {found}) == len(others)
