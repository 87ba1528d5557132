"""A head that adds something from no place of the picture, evaluated and reported."""

import numpy as np
import onnx
import pytest
import tiny
import two_layers
from onnx.numpy_helper import from_array, to_array

from exporter import export, inspect_model
from exporter.commands.summaries import export_summary
from exporter.errors import DecompositionError
from exporter.evaluate import EvaluationConfig
from exporter.images.dataset import ClassImages
from exporter.pipelines.evaluate import evaluate
from exporter.pipelines.report import make_report
from exporter.report import ReportConfig
from exporter.report.examples import choose_examples
from exporter.report.observe import observe
from serving.model.predictor import Predictor


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    root = tmp_path_factory.mktemp("held-out")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(3):
            tiny.image(index, 500 + number).save(root / label / f"{number}.png")
    return root


def test_the_sum_is_complete_and_what_has_no_place_is_not_missing(two_layers_export, held_out):
    found = evaluate(
        EvaluationConfig(
            artifact=two_layers_export[1].folder,
            data=held_out,
            baselines=("random", "cam"),
            seeds=1,
            network_images=1,
            jobs=1,
        )
    )
    for method in ("ours", "cam"):
        assert found.figures[method]["completeness"].mean < 1e-5
    assert found.methods == ("ours", "random", "cam", "rise")
    assert any(note.startswith("Grad-CAM is left out") for note in found.notes)


def test_an_example_of_the_report_adds_up_with_what_has_no_place(two_layers_export, held_out):
    predictor = Predictor(two_layers_export[1], threads=1)
    images = tuple(sorted((held_out / tiny.LABELS[0]).iterdir()))
    seen = observe(predictor, ClassImages(0, tiny.LABELS[0], images))
    total = seen.contributions.sum(axis=1, dtype=np.float64) + seen.constant
    np.testing.assert_allclose(total, seen.logits[:, 0], atol=1e-4)  # of terms of some 100
    for example in choose_examples(seen, 3):
        total = example.contributions.sum() + example.bias + example.common + example.unplaced
        assert total == pytest.approx(example.logit, abs=1e-4)
        assert abs(example.unplaced) > 1


def test_the_report_has_its_line_only_where_something_has_no_place(
    two_layers_export, tiny_export, held_out
):
    pages = [
        make_report(ReportConfig(artifact=export[1].folder, data=held_out)).html
        for export in (two_layers_export, tiny_export)
    ]
    assert [b"from no place" in page for page in pages] == [True, False]
    assert b"misses the logit by up to" not in pages[0]


@pytest.fixture(scope="module")
def mostly_unplaced(tmp_path_factory):
    """The same with biases that outweigh what is seen."""
    config = two_layers.write(tmp_path_factory.mktemp("biased"), images=5)
    model = onnx.load(config.model)
    biases = {tensor.name: tensor for tensor in model.graph.initializer}["first_bias"]
    biases.CopyFrom(from_array(to_array(biases) + 8, "first_bias"))
    onnx.save(model, config.model)
    return config, export(config)


def test_each_class_records_the_share_that_has_a_place(two_layers_export, tiny_export):
    config, artifact = two_layers_export
    predictor = Predictor(artifact, threads=1)
    for record in artifact.manifest.classes:
        images = sorted((config.data / record.label).iterdir())
        found = [predictor.explain(path, classes=[record.index]).classes[0] for path in images]
        mean = np.mean([explained.placed for explained in found])
        assert record.placed == pytest.approx(mean, abs=1e-4)  # float32 in the graph
        assert not any("place in the picture" in text for text in record.warnings)
    assert "the rest comes from no place" in export_summary(config.out, artifact)
    assert '"placed"' not in (tiny_export[1].folder / "manifest.json").read_text()
    assert "no place" not in export_summary(config.out, tiny_export[1])


def test_a_class_with_little_of_a_place_is_warned_of(mostly_unplaced):
    config, artifact = mostly_unplaced
    record = min(artifact.manifest.classes, key=lambda record: record.placed)
    assert record.placed < 0.5
    told = f"only {record.placed:.0%} of this class's evidence has a place in the picture"
    assert record.warnings.count(told) == 1
    report = inspect_model(config.model, data=config.data, preprocess=config.preprocessing)
    assert report.placed.below_half
    assert f"less than half in {report.placed.below_half} of them" in report.placed.words


@pytest.mark.parametrize("method", ["paper", "naive"])
def test_a_method_whose_prototypes_share_no_row_is_refused_before_any_work(
    two_layers_export, tmp_path, method
):
    config = two_layers_export[0].model_copy(update={"method": method, "out": tmp_path / "out"})
    with pytest.raises(DecompositionError, match=f"`method` {method}: .* Use evidence"):
        export(config)
    assert not list(tmp_path.iterdir())
