"""Feature maps, class by class, and the crops that show where prototypes are active."""

import copy
import io

import costly
import graphs
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import tiny
from head_forms import NORMALISED, POOLINGS
from PIL import Image

from exporter.errors import SourceError
from exporter.head import find_head
from exporter.images.evidence import best_crops, crop_box
from exporter.images.features import FeatureReader, feature_rows
from exporter.source.onnx_file import load_source
from exporter.surgery import tap_features
from serving.artifact import Preprocessing
from serving.model.preprocess import preprocess


@pytest.fixture(scope="module")
def reader(tiny_export):
    config = tiny_export[0]
    source = load_source(config.model)
    with FeatureReader(source, find_head(source.model), config.preprocessing, 1) as reader:
        yield reader


@pytest.fixture
def paths(tmp_path):
    for number in range(11):
        tiny.image(number % 3, number).save(tmp_path / f"{number:02d}.png")
    return tuple(sorted(tmp_path.iterdir()))


def test_the_mean_of_the_maps_times_the_head_plus_bias_is_the_logit(reader, paths, tiny_export):
    features = reader.read(paths)
    head = find_head(ir.load(tiny_export[0].model))
    logits = features.maps.mean(axis=1, dtype=np.float64) @ head.weight.T + head.bias
    # float32 sums of 16 channels and 144 positions.
    np.testing.assert_allclose(features.logits, logits, atol=1e-4)


def test_shapes_are_those_of_the_grid(reader, paths):
    features = reader.read(paths)
    assert features.grid == reader.grid == (12, 12)
    assert features.maps.shape == (11, 144, 16)
    assert features.logits.shape == (11, 3)
    assert features.activations(np.ones((2, 16), np.float32)).shape == (11, 2, 12, 12)


def test_activations_are_prototypes_times_features(reader, paths):
    features = reader.read(paths[:2])
    prototypes = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    expected = np.einsum("npd,kd->nkp", features.maps, prototypes).reshape(2, 3, 12, 12)
    np.testing.assert_allclose(features.activations(prototypes), expected, rtol=1e-4, atol=1e-5)


def test_an_image_has_the_same_maps_in_every_batch(reader, paths):
    whole = reader.read(paths)
    for number, path in enumerate(paths):
        np.testing.assert_array_equal(reader.read((path,)).maps[0], whole.maps[number])


def test_images_that_cannot_be_decoded_are_left_out_and_named(reader, paths):
    paths[0].write_bytes(b"")
    paths[5].write_bytes(b"no image")
    features = reader.read(paths)
    assert features.paths == paths[1:5] + paths[6:]
    assert len(features.skipped) == 2
    assert "05.png" in features.skipped[1]


def test_an_image_that_costs_more_than_its_pixels_is_left_out_and_named(reader, paths):
    paths[2].write_bytes(costly.FILES["png of empty data"])
    paths[7].write_bytes(costly.FILES["bmp that skips"])
    features = reader.read(paths)
    assert [skipped.partition(":")[0] for skipped in features.skipped] == ["02.png", "07.png"]


def test_a_thin_picture_is_left_out_where_the_short_side_is_resized(tiny_export, paths):
    source = load_source(tiny_export[0].model)
    Image.new("1", (1, 1_000_000)).save(paths[3])
    short = Preprocessing(resize=tiny.SIZE, crop=tiny.SIZE)
    with FeatureReader(source, find_head(source.model), short, 1) as reader:
        features = reader.read(paths[:5])
    assert len(features.paths) == 4
    assert "is resized, expected at most" in features.skipped[0]


def test_no_usable_image_gives_no_maps(reader, paths):
    paths[0].write_bytes(b"")
    assert reader.read(paths[:1]).paths == ()
    assert reader.read(()).maps.size == 0


@pytest.mark.parametrize("name", [*POOLINGS, *NORMALISED])
def test_the_mean_of_the_rows_times_the_head_plus_bias_is_the_logit_in_every_form(name):
    model = {**POOLINGS, **NORMALISED}[name].model()
    head = find_head(model)
    found = graphs.run(tap_features(model, head), {"image": graphs.images(3)})
    logits, features = found[head.logits], found[head.feature]
    rows, (h, w) = feature_rows(features, head)
    means = rows.mean(axis=1, dtype=np.float64) @ head.weight.T + head.bias
    # float32 rounding through the graph, and once more of rows over sigma.
    np.testing.assert_allclose(means, logits, rtol=0, atol=1e-5 * np.abs(logits).max())
    assert rows.shape == (3, h * w, head.weight.shape[1])
    if head.normalisation is None and features.ndim == 4:
        there = features[:, :, 2, 1] if head.layout == "NCHW" else features[:, 2, 1]
        np.testing.assert_array_equal(rows[:, 2 * w + 1], there)


def test_progress_counts_every_image_once(reader, paths):
    done = []
    reader.read(paths, progress=done.append)
    assert sum(done) == 11


def test_a_graph_of_fixed_batch_size_gives_the_same_maps(tmp_path, paths, tiny_export):
    model = copy.deepcopy(tiny.model())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, tmp_path / "fixed.onnx")
    options = tiny_export[0].preprocessing
    both = []
    for path in (tmp_path / "fixed.onnx", tiny_export[0].model):
        source = load_source(str(path))
        with FeatureReader(source, find_head(source.model), options, 1) as reader:
            both.append(reader.read(paths))
    np.testing.assert_array_equal(both[0].maps, both[1].maps)
    np.testing.assert_array_equal(both[0].logits, both[1].logits)


def test_values_that_are_not_finite_are_refused(tmp_path, tiny_export, paths):
    model = copy.deepcopy(tiny.model())
    for tensor in model.graph.initializer:
        if tensor.name == "b2":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(16, np.inf, np.float32), "b2"))
    onnx.save(model, tmp_path / "infinite.onnx")
    source = load_source(str(tmp_path / "infinite.onnx"))
    with pytest.raises(SourceError, match="not finite"):
        FeatureReader(source, find_head(source.model), tiny_export[0].preprocessing, 1)


def peaked(cells, grid=(6, 6)):
    """Activations (n, 1, h, w), one peak an image, higher from image to image."""
    activations = np.zeros((len(cells), 1, *grid), np.float32)
    for number, (row, column) in enumerate(cells):
        activations[number, 0, row, column] = 1 + number
    return activations


def test_crops_are_the_best_images_first_and_show_the_peak(tmp_path):
    options = Preprocessing(crop=96)
    cells = [(1, 1), (4, 4), (1, 4), (4, 1), (2, 2), (3, 3)]
    paths = []
    for number, (row, column) in enumerate(cells):
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 255
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    (crops,) = best_crops(peaked(cells), tuple(paths), options)
    assert [crop.value for crop in crops] == [6, 5, 4, 3, 2]
    assert [crop.path for crop in crops] == paths[:0:-1]
    for crop in crops:
        with Image.open(io.BytesIO(crop.jpeg)) as shown:
            assert np.asarray(shown)[60:68, 60:68].min() > 200  # the white cell is in the middle


def test_fewer_images_give_fewer_crops(tmp_path):
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    crops = best_crops(peaked([(0, 0)]), (tmp_path / "a.png",), Preprocessing(crop=96))
    assert len(crops[0]) == 1


@pytest.mark.parametrize("cell", [(0, 0), (0, 13), (13, 0), (13, 13), (7, 7)])
@pytest.mark.parametrize("size", [(224, 224), (448, 224), (30, 64)])
def test_crop_boxes_lie_inside_the_view(cell, size):
    left, top, right, bottom = crop_box(cell, (14, 14), size)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert right - left == bottom - top == round(72 / 224 * min(size))


def test_a_crop_is_cut_from_the_original_pixels(tmp_path):
    image = Image.new("RGB", (400, 200), "black")
    image.paste("red", (100, 0, 150, 50))
    image.save(tmp_path / "wide.png")
    options = Preprocessing(resize=50, crop=50)
    ((crop,),) = best_crops(peaked([(0, 0)]), (tmp_path / "wide.png",), options)
    left, top, right, bottom = crop.box
    assert (left, top) == (100, 0)
    assert (right - left, bottom - top) == (64, 64)  # 16 of 50 pixels at a quarter of the size
    assert preprocess(image, options).shape == (3, 50, 50)
