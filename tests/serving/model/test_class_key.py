"""What names a class, in Python, on the command line and over HTTP: one rule."""

import json

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from exporter import edit, export
from serving import Predictor
from serving.errors import RequestError
from serving.model.class_key import ClassNames

LABELS = st.lists(st.text(max_size=4) | st.integers(0, 5).map(str), min_size=1, max_size=6)


@given(LABELS)
def test_a_whole_number_is_an_id_whatever_the_labels_are(labels):
    names = ClassNames(labels)
    assert [names.id_of(index) for index in range(len(labels))] == list(range(len(labels)))


@given(LABELS)
def test_a_label_of_one_class_names_it_and_a_shared_one_nothing(labels):
    names = ClassNames(labels)
    for index, label in enumerate(labels):
        if labels.count(label) == 1:
            assert names.id_of(label) == index
        else:
            with pytest.raises(RequestError, match="shared by the classes"):
                names.id_of(label)


@given(LABELS)
def test_every_class_has_a_spelling_in_digits(labels):
    names = ClassNames(labels)
    for index in range(len(labels)):
        text = str(index)
        while text in names:
            text = f"0{text}"
        assert names.id_of(text) == index


@pytest.mark.parametrize("key", ["owl", "-1", "3", 3, -1, "1.0", "", "²", "9" * 5000, "१"])
def test_what_names_no_class_is_refused(key):
    with pytest.raises(RequestError, match="expected a"):
        ClassNames(tiny.LABELS).id_of(key)


def test_an_id_has_at_most_twenty_digits():
    assert ClassNames(tiny.LABELS).id_of("2".zfill(20)) == 2
    with pytest.raises(RequestError, match="expected a label"):
        ClassNames(tiny.LABELS).id_of("2".zfill(21))


def test_a_near_label_is_told():
    with pytest.raises(RequestError, match=r"got 'blu'. Did you mean 'blue'\?"):
        ClassNames(tiny.LABELS).id_of("blu")


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """The tiny artifact with labels that are the ids of other classes."""
    config = tiny.write(tmp_path_factory.mktemp("swapped"))
    labels = ("1", "0", "2")
    for before, label in zip(tiny.LABELS, labels, strict=True):
        (config.data / before).rename(config.data / label)
    return export(config.model_copy(update={"labels": labels})).folder


def test_a_label_that_looks_like_an_id_is_the_same_class_everywhere(run, swapped, tmp_path):
    data = tmp_path / "data"
    for label, name in enumerate(("1", "0", "2")):
        (data / name).mkdir(parents=True)
        tiny.image(label, 70).save(data / name / "a.png")
    image = data / "1" / "a.png"
    assert Predictor(swapped).explain(image, classes=["1"]).classes[0].class_id == 0
    assert Predictor(swapped).explain(image, classes=[1]).classes[0].class_id == 1
    code, out, _ = run(
        "explain", swapped, image, "--class", "1", "--class", "01", "--json", "--out", tmp_path
    )
    assert code == 0
    assert [c["class"] for c in json.loads(out)[0]["classes"]] == [0, 1]
    for key, index in (("1", 0), ("01", 1)):
        made = edit(swapped, tmp_path / key, mute=[(key, 0)], reason="a trial")
        assert made.manifest.edits[0].muted[0].class_index == index
        page = tmp_path / f"{key}.html"
        assert run("report", swapped, "--data", data, "--classes", key, "--out", page)[0] == 0
        assert f'id="class-{index}"' in page.read_text()
