import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations, read_truth

SIZE = 64
BLOCK = 8  # side of the squares that JPEG encodes one by one, without chroma subsampling


@pytest.fixture(scope="module")
def drawn(toybirds, tmp_path_factory):
    """The folder that the generator writes, with the truth of a picture a species."""
    out = tmp_path_factory.mktemp("drawn") / "birds"
    options = ["--train", "1", "--test", "1", "--size", str(SIZE), "--jobs", "1", "--truth"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["generate.py", "--out", str(out), *options])
        toybirds.main()
    return out


@pytest.fixture(scope="module")
def truth(drawn):
    return read_truth(drawn / "parts.csv")


def pictures(folder):
    found = sorted((folder / "test").rglob("*.jpg"))
    assert len(found) == 12
    return found


def sample_of(toybirds, image, **options):
    seed = toybirds.SPLITS["test"] + int(image.stem)
    return toybirds.draw(toybirds.scene(seed, image.parent.name, **options), size=SIZE)


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_masks_are_those_of_the_drawing_bit_for_bit(toybirds, drawn, truth):
    assert truth.parts == toybirds.PARTS
    for image in pictures(drawn):
        sample = sample_of(toybirds, image)
        masks = truth.masks(image)
        assert masks.dtype == np.bool_
        np.testing.assert_array_equal(masks, np.stack([sample.masks[p] for p in toybirds.PARTS]))
        np.testing.assert_array_equal(truth.foreground(image), sample.bird)
        assert (sample.bird & ~masks.any(axis=0)).any()  # the mantle is bird but no part


def test_visible_keypoints_lie_in_the_masks(drawn, truth):
    annotations = read_annotations(drawn)
    visible = 0
    for image in pictures(drawn):
        points = annotations.find(image, (SIZE, SIZE))
        for (x, y), mask in zip(points, truth.masks(image), strict=True):
            if np.isfinite(x):
                assert mask[int(y), int(x)]
                visible += 1
    assert visible > 60  # of 12 pictures and 7 parts; a part is lost with probability 0.08


def test_a_picture_without_a_part_differs_only_in_the_blocks_that_hold_its_mask(drawn, truth):
    # No tolerance: JPEG encodes each block on its own, and the settings are those of the picture.
    some = none = 0
    for image in pictures(drawn):
        for part, mask in zip(truth.parts, truth.masks(image), strict=True):
            path = truth.without(image, part)
            assert (path is not None) == mask.any()
            if path is None:
                none += 1
                continue
            y, x = np.nonzero(pixels(path).sum(axis=2) != pixels(image).sum(axis=2))
            blocks = mask.reshape(SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK).any(axis=(1, 3))
            assert blocks[y // BLOCK, x // BLOCK].all()
            some += bool(len(y))
    assert some > 60  # most parts show, and leaving them out shows
    assert none > 0


def test_other_backdrops_are_the_same_scene_before_another_backdrop(toybirds, drawn, truth):
    # That drawing it changes no pixel of the bird is a claim of test_models_toybirds.py.
    assert sorted(toybirds.NEW_BACKDROPS) == list(truth.backdrop_names)
    for image in pictures(drawn):
        for name, path in zip(truth.backdrop_names, truth.backdrops(image), strict=True):
            stored = io.BytesIO()
            expected = Image.fromarray(sample_of(toybirds, image, backdrop=name).image)
            expected.save(stored, "JPEG", quality=92, subsampling=0)
            assert path.read_bytes() == stored.getvalue()
            assert path.read_bytes() != image.read_bytes()


def test_pictures_that_were_moved_find_their_truth_by_name(drawn, truth, tmp_path):
    image = pictures(drawn)[0]
    moved = tmp_path / "test" / image.parent.name / image.name
    moved.parent.mkdir(parents=True)
    shutil.copy(image, moved)
    assert truth.covers(moved)
    np.testing.assert_array_equal(truth.masks(moved), truth.masks(image))
    assert truth.backdrops(moved) == truth.backdrops(image)


def test_only_held_out_pictures_have_a_truth(drawn, truth):
    assert all(truth.covers(image) for image in pictures(drawn))
    trained = next((drawn / "train").rglob("*.jpg"))
    assert not truth.covers(trained)
    with pytest.raises(DatasetError, match=r"0000\.png: expected the masks of .*no such file"):
        truth.masks(trained)


def test_a_table_without_masks_beside_it_has_no_truth(tmp_path):
    (tmp_path / "parts.csv").write_text("image,eye_x,eye_y,eye_visible\n0.jpg,1,2,1\n")
    assert read_truth(tmp_path / "parts.csv") is None
    (tmp_path / "masks").mkdir()
    assert read_truth(tmp_path / "parts.csv").parts == ("eye",)
    assert read_truth(tmp_path).parts == ("eye",)
    assert read_truth(tmp_path / "other.csv") is None


@pytest.fixture
def small(tmp_path):
    """Hand-made truth of one picture, 4 x 3 pixels: the eye shows in one, the tail in none."""
    (tmp_path / "parts.csv").write_text(
        "image,eye_x,eye_y,eye_visible,tail_x,tail_y,tail_visible\n0.jpg,1,2,1,,,0\n"
    )
    for folder in ("masks", "without/eye", "backdrops/snow", "backdrops/lake"):
        (tmp_path / folder).mkdir(parents=True)
    bits = np.zeros((3, 4), dtype=np.uint8)
    bits[2, 1], bits[0, 3] = 1, 128
    Image.fromarray(bits).save(tmp_path / "masks" / "0.png")
    for folder in (".", "without/eye", "backdrops/snow", "backdrops/lake"):
        Image.new("RGB", (4, 3)).save(tmp_path / folder / "0.jpg")
    return tmp_path


def test_bit_i_of_a_mask_is_part_i_of_the_table(small):
    masks = read_truth(small).masks(small / "0.jpg")
    assert masks.shape == (2, 3, 4)
    np.testing.assert_array_equal(np.argwhere(masks), [[0, 2, 1]])
    foreground = read_truth(small).foreground(small / "0.jpg")
    np.testing.assert_array_equal(np.argwhere(foreground), [[0, 3], [2, 1]])


def test_the_paths_of_a_hand_made_truth(small):
    truth, image = read_truth(small), small / "0.jpg"
    assert truth.without(image, "eye") == small / "without" / "eye" / "0.jpg"
    assert truth.without(image, "tail") is None
    assert truth.backdrop_names == ("lake", "snow")
    assert truth.backdrops(image) == tuple(
        small / "backdrops" / n / "0.jpg" for n in ("lake", "snow")
    )
    with pytest.raises(ValueError, match="antlers"):
        truth.without(image, "antlers")


def test_a_folder_without_backdrops_has_none(small):
    shutil.rmtree(small / "backdrops")
    assert read_truth(small).backdrops(small / "0.jpg") == ()


@pytest.mark.parametrize(
    ("missing", "ask"),
    [
        ("masks/0.png", lambda truth, image: truth.masks(image)),
        ("masks/0.png", lambda truth, image: truth.without(image, "tail")),
        ("without/eye/0.jpg", lambda truth, image: truth.without(image, "eye")),
        ("backdrops/snow/0.jpg", lambda truth, image: truth.backdrops(image)),
    ],
)
def test_a_truth_that_is_not_whole_names_the_file_and_the_way_out(small, missing, ask):
    (small / missing).unlink()
    where = re.escape(str(small / missing))
    message = rf"^{where}: expected .*found no such file\. Draw .*with the truth"
    with pytest.raises(DatasetError, match=message):
        ask(read_truth(small), small / "0.jpg")


def test_a_picture_of_another_set_is_refused(small):
    for ask in ("masks", "backdrops"):
        with pytest.raises(DatasetError, match=r"1\.jpg: expected a picture of .*parts\.csv"):
            getattr(read_truth(small), ask)(small / "1.jpg")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("L", (3, 4)), "expected 8-bit grey of 4 x 3 pixels, .* got mode L, 3 x 4"),
        (Image.new("RGB", (4, 3)), "expected 8-bit grey .* got mode RGB, 4 x 3"),
        (Image.new("L", (4, 3), 4), "expected bits of 2 parts, got the value 4 for"),
    ],
)
def test_masks_of_another_form_are_refused(small, mask, message):
    mask.save(small / "masks" / "0.png")
    with pytest.raises(DatasetError, match=rf"0\.png: {message}.*with the truth"):
        read_truth(small).masks(small / "0.jpg")


@pytest.mark.parametrize("file", ["masks/0.png", "0.jpg"])
def test_a_damaged_picture_is_refused(small, file):
    path = small / file
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DatasetError, match=rf"{path.name}: expected a picture .*could not decode"):
        read_truth(small).masks(small / "0.jpg")


def test_more_parts_than_bits_are_refused(small):
    parts = [f"p{i}" for i in range(8)]
    header = ",".join(f"{p}_x,{p}_y,{p}_visible" for p in parts)
    (small / "parts.csv").write_text(f"image,{header}\n0.jpg{',1,1,1' * 8}\n")
    with pytest.raises(DatasetError, match=r"expected at most 7 parts.*got 8"):
        read_truth(small)
