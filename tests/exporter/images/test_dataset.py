import os

import pytest

from exporter.errors import DatasetError
from exporter.images.dataset import find_images, read_dataset, read_labels


def make(root, folders):
    for name, count in folders.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:03d}.jpg").touch()
    return root


def read(root, count, labels=None, max_images=10, seed=0):
    return read_dataset(
        root, class_count=count, labels=labels, max_images=max_images, seed=seed
    ).classes


def test_folders_are_matched_by_label(tmp_path):
    classes = read(make(tmp_path, {"kite": 2, "crane": 3}), 3, ["crane", "owl", "kite"])
    assert [(c.label, len(c.paths)) for c in classes] == [("crane", 3), ("owl", 0), ("kite", 2)]


def test_labels_may_name_only_some_classes(tmp_path):
    classes = read(make(tmp_path, {"kite": 2}), 3, {2: "kite"})
    assert [(c.label, len(c.paths)) for c in classes] == [
        ("class 0", 0),
        ("class 1", 0),
        ("kite", 2),
    ]


def test_without_labels_folders_named_by_numbers_are_indices(tmp_path):
    classes = read(make(tmp_path, {"2": 1, "10": 4}), 12)
    assert [len(c.paths) for c in classes] == [0, 0, 1, *[0] * 7, 4, 0]


def test_without_labels_as_many_folders_as_classes_go_by_name(tmp_path):
    classes = read(make(tmp_path, {"b": 1, "a": 2}), 2)
    assert [(c.label, len(c.paths)) for c in classes] == [("a", 2), ("b", 1)]


def test_a_folder_that_is_no_label_lists_the_near_ones(tmp_path):
    with pytest.raises(DatasetError, match=r"crain.*Did you mean 'crane'"):
        read(make(tmp_path, {"crain": 1}), 2, ["crane", "kite"])


def test_a_label_shared_by_two_classes_cannot_take_a_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"\[0, 2\] share this label"):
        read(make(tmp_path, {"crane": 1}), 3, ["crane", "kite", "crane"])


def test_a_shared_label_without_a_folder_does_no_harm(tmp_path):
    assert len(read(make(tmp_path, {"kite": 1}), 3, ["crane", "kite", "crane"])) == 3


@pytest.mark.parametrize(
    ("folders", "count", "labels", "message"),
    [
        ({}, 2, None, "found no folder"),
        ({"a": 0, "b": 0}, 2, None, "found none"),
        ({"a": 1}, 2, None, "Give `labels`"),
        ({"1": 1, "2": 1}, 3, ["a", "b", "c"], "a label of the model"),
        ({"1": 1, "3": 1}, 3, None, "all numbers from 1 to 3"),
        ({"0": 1, "7": 1}, 2, None, "different class indices from 0 to 1"),
        ({"1": 1, "01": 1}, 2, None, "different class indices"),
        ({"a": 1}, 2, ["a"], "expected 2 labels, one for each logit, got 1"),
        ({"a": 1}, 2, {5: "a"}, "class indices from 0 to 1"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, folders, count, labels, message):
    with pytest.raises(DatasetError, match=message):
        read(make(tmp_path, folders), count, labels)


def test_the_draw_depends_on_the_seed_and_on_nothing_else(tmp_path):
    make(tmp_path, {"a": 50, "b": 50})
    first = read(tmp_path, 2, max_images=5)
    assert read(tmp_path, 2, max_images=5) == first
    assert read(tmp_path, 2, max_images=5, seed=1) != first
    assert [len(c.paths) for c in first] == [5, 5]
    assert all(c.paths == tuple(sorted(c.paths)) for c in first)


def test_each_class_is_drawn_on_its_own(tmp_path):
    make(tmp_path, {"a": 50, "b": 50})
    names = [[path.name for path in c.paths] for c in read(tmp_path, 2, max_images=5)]
    assert names[0] != names[1]


def test_as_many_images_are_kept_as_are_allowed(tmp_path):
    make(tmp_path, {"a": 10, "b": 11})
    assert [len(c.paths) for c in read(tmp_path, 2, max_images=10)] == [10, 10]


def test_suffixes_in_capitals_are_those_of_images_too(tmp_path):
    make(tmp_path, {"a": 1})
    (tmp_path / "a" / "IMG_1.JPG").touch()
    assert len(read(tmp_path, 1)[0].paths) == 2


def test_other_files_and_hidden_folders_are_left_alone(tmp_path):
    make(tmp_path, {"a": 1, ".cache": 1, "b/deeper": 2})
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "README").touch()
    assert [len(c.paths) for c in read(tmp_path, 2)] == [1, 2]


def test_names_that_are_no_text_are_escaped_not_lost(tmp_path):
    (tmp_path / os.fsdecode(b"k\xe4uzchen")).mkdir()
    (tmp_path / os.fsdecode(b"k\xe4uzchen/\xff \xc3\xa4.jpg")).touch()
    dataset = read_dataset(tmp_path, class_count=1, labels=None, max_images=10, seed=0)
    (entry,) = dataset.classes
    assert entry.label == r"k\xe4uzchen"
    assert [dataset.image_id(path) for path in entry.paths] == [r"k\xe4uzchen/\xff ä.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("labels.json", '["a", "b"]', ["a", "b"]),
        ("labels.json", '{"3": "a"}', {3: "a"}),
        ("labels.txt", "a\n\nb c\n", ["a", "b c"]),
    ],
)
def test_label_files(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    "text",
    ["{", "3", '{"a": "b"}', "[1, 2]", '{"0": 1}', "\udcff", r'["\ud800"]', r'{"0": "\ud800"}'],
)
def test_malformed_label_files_are_refused(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=r"labels\.json"):
        read_labels(path)


def test_linked_folders_are_followed_once_and_hidden_images_are_counted(tmp_path, caplog):
    data, elsewhere = tmp_path / "data" / "a", tmp_path / "elsewhere"
    for folder in (data / ".ipynb_checkpoints" / "deep", data / "b", elsewhere):
        folder.mkdir(parents=True)
    for path in (
        data / "1.png",
        data / "b" / "2.png",
        elsewhere / "3.png",
        data / ".hidden.png",
        data / ".ipynb_checkpoints" / "1.png",
        data / ".ipynb_checkpoints" / "deep" / "1.png",
    ):
        path.touch()
    (data / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(data)  # a circle
    (data / "gone.png").symlink_to(tmp_path / "nothing")
    found = [path.relative_to(data).as_posix() for path in find_images(data).paths]
    assert found == ["1.png", "b/2.png", "gone.png", "linked/3.png"]
    assert f"{data}: 3 hidden images are left out" in caplog.text


def told(caplog):
    return " ".join(record.getMessage() for record in caplog.records)


def test_folders_go_as_people_count_and_the_order_is_said(tmp_path, caplog):
    classes = read(make(tmp_path, {"class10": 3, "class2": 2, "class1": 1}), 3)
    assert [c.label for c in classes] == ["class1", "class2", "class10"]
    assert [len(c.paths) for c in classes] == [1, 2, 3]
    assert "class1 = 0, class2 = 1, class10 = 2" in told(caplog)
    assert "'class10' would come earlier" in told(caplog)


def test_an_order_on_which_all_agree_is_not_doubted(tmp_path, caplog):
    read(make(tmp_path, {"a": 1, "b": 1}), 2)
    assert "a = 0, b = 1" in told(caplog)
    assert "earlier" not in told(caplog)


def test_an_order_of_many_is_said_in_short(tmp_path, caplog):
    read(make(tmp_path, {f"c{n:03d}": 1 for n in range(40)}), 40)
    assert "c010 = 10, …, c039 = 39" in told(caplog)


def test_labels_leave_nothing_to_say(tmp_path, caplog):
    read(make(tmp_path, {"a": 1, "b": 1}), 2, ["b", "a"])
    assert told(caplog) == ""


def test_folders_from_one_to_the_number_of_classes_count_from_one(tmp_path, caplog):
    classes = read(make(tmp_path, {"1": 1, "2": 2, "3": 3}), 3)
    assert [(c.label, len(c.paths)) for c in classes] == [("1", 1), ("2", 2), ("3", 3)]
    assert "count from 1" in told(caplog)


def test_numbers_say_that_they_go_by_number(tmp_path, caplog):
    read(make(tmp_path, {str(n): 1 for n in range(12)}), 12)
    assert "by number" in told(caplog)
    assert "'10' would come earlier" in told(caplog)


@pytest.mark.parametrize(
    ("folders", "labels", "label", "images"),
    [
        ({"cat": 3}, None, "cat", 3),
        ({"1": 3}, None, "1", 3),
        ({"cat": 2, "dog": 3}, None, "dog", 3),
        ({"0": 2, "1": 3}, None, "1", 3),
        ({"cat": 2, "dog": 3}, ["cat"], "cat", 2),
        ({"cat": 2, "dog": 3}, ["dog", "cat"], "cat", 2),
        ({"cat": 2, "dog": 3}, {0: "cat", 1: "dog"}, "dog", 3),
        ({"dog": 3}, ["cat", "dog"], "dog", 3),
    ],
)
def test_one_logit_takes_the_folder_of_its_class_alone_or_beside_the_other(
    tmp_path, caplog, folders, labels, label, images
):
    (found,) = read(make(tmp_path, folders), 1, labels)
    assert (found.label, len(found.paths)) == (label, images)
    assert ("one logit" in told(caplog)) is (len(folders) == 2)


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        ({"a": 1, "b": 1, "c": 1}, None),
        ({"a": 1, "b": 1, "c": 1}, ["a"]),
        ({"cat": 1}, ["cat", "dog"]),
        ({"kat": 1}, ["cat"]),
        ({"cat": 1, "fish": 1}, ["cat", "dog"]),
    ],
)
def test_one_logit_takes_no_folder_that_could_be_either(tmp_path, folders, labels):
    with pytest.raises(DatasetError, match="label"):
        read(make(tmp_path, folders), 1, labels)


def test_files_that_are_no_images_are_counted_and_named_by_suffix(tmp_path, caplog):
    root = make(tmp_path, {"a": 2})
    for name in ("notes.txt", "more.TXT", "list.csv", "bare", ".DS_Store"):
        (root / "a" / name).touch()
    (found,) = read(root, 1)
    assert (len(found.paths), found.others) == (2, 4)
    assert "4 files are no images by their suffix" in told(caplog)
    assert "2 .txt" in told(caplog)


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        ({"train/kite": 2, "train/owl": 1, "val/kite": 1}, ["kite", "owl"]),
        ({"val/kite": 1, "train/owl": 1, "masks": 0}, ["kite", "owl"]),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1}, None),  # not two classes
        ({"train/a": 1, "train/b": 1, "test/a": 1, "notes": 0}, None),
        ({"Train/0": 1, "Train/1": 1, "valid/0": 1}, None),
    ],
)
def test_where_the_folders_below_are_the_classes_that_is_said(tmp_path, folders, labels):
    make(tmp_path, folders)
    train = next(p for p in tmp_path.iterdir() if p.name in ("train", "Train"))
    with pytest.raises(DatasetError) as error:
        read(tmp_path, 2, labels)
    assert str(error.value).startswith(f"{tmp_path}: expected one folder of images for each class")
    assert str(error.value).endswith(f"Did you mean {train}?")
    assert read(train, 2, labels)


def test_folders_two_levels_below_are_found_too(tmp_path):
    make(tmp_path, {"birds/images/kite": 1, "birds/images/owl": 1, "birds/masks": 0})
    with pytest.raises(DatasetError, match=r"found birds\. Did you mean .*birds/images\?$"):
        read(tmp_path, 2, ["kite", "owl"])


def test_of_folders_that_are_no_classes_either_nothing_is_said(tmp_path):
    make(tmp_path, {"train/crain": 1, "val/crain": 1})
    with pytest.raises(DatasetError, match="a label of the model") as error:
        read(tmp_path, 2, ["crane", "kite"])
    assert f"{tmp_path}/train?" not in str(error.value)


def test_classes_may_be_named_as_splits_are(tmp_path):
    make(tmp_path, {"train": 2, "test": 1})
    assert [c.label for c in read(tmp_path, 2)] == ["test", "train"]
    assert [c.label for c in read(tmp_path, 2, ["train", "test"])] == ["train", "test"]
