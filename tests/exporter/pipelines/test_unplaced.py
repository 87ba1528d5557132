"""A head that adds something from no place of the picture, evaluated and reported."""

import numpy as np
import pytest
import tiny

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
