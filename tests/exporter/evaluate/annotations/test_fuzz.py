"""Whatever happens to a file: it is read, or it is refused as what it is."""

import contextlib
import copy
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

COCO = {
    "images": [
        {"id": 5, "file_name": "kite/0.jpg", "width": 64, "height": 48},
        {"id": "6", "file_name": "wren\\0.jpg"},
    ],
    "categories": [
        {"id": 1, "name": "bird", "keypoints": ["beak", "eye"]},
        {"id": 2, "name": "tree", "keypoints": []},
    ],
    "annotations": [
        {"image_id": 5, "category_id": 1, "keypoints": [10, 2.5, 2, None, None, 0],
         "area": 9, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"image_id": 6, "category_id": 1, "keypoints": ["1", 2, 2, 3, 4, True], "bbox": []},
        {"image_id": 5, "category_id": 2},
    ],
}  # fmt: skip
TABLES = (
    "split,species,file,part,x,y,visible\ntest,kite,0.jpg,beak,12,34.5,1\ntest,kite,0.jpg,eye,,,0\n",
    'sep=;\nimage;"beak_x";beak_y;eye_x;eye_y;\n0.jpg;1,5;2;3;4;\n1.jpg;nan;nan;;;\n',
)
CUB = {
    "images.txt": "1 a/0.jpg\n2-b b/0.jpg\n",
    "bounding_boxes.txt": "1 10 20 100 50\n2-b 0 0 60 40\n",
    "sizes.txt": "1 296 341\n2-b 640 427\n",
    "parts/parts.txt": "1 back\n2 left eye\n",
    "parts/part_locs.txt": "1 1 30 40.5 1\n1 2 -1 -1 0\n2-b 1 5 6 1\n2-b 2 7 8 1\n",
}
BYTES = [bytes([b]) for b in b'\x00\xff\xfe\r\n\t ,;"-.0129eE_[]{}:/\\'] + [
    b"nan", b"inf", b"null", b"true", b"\xef\xbb\xbf", b"\xff\xfe", b"1e999", b'"\\ud800"',
    b"9" * 40,
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, 2, -1, 2**70, 10**400, 0.5, -0.0, float("nan"), float("inf"), "", "1",
    " 2 ", "1e400", "x", "\x00", [], {}, [1], [[1, 2, 3]], {"id": 1},
]  # fmt: skip

edits = st.lists(
    st.tuples(
        st.sampled_from(("delete", "replace", "insert", "cut", "repeat")),
        st.integers(0, 2**16),
        st.sampled_from(BYTES),
    ),
    max_size=4,
)
encodings = st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-be"))
bounded = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def edited(data, changes):
    for kind, where, new in changes:
        at = where % (len(data) + 1)
        end = at + len(new)
        data = {
            "delete": data[:at] + data[end:],
            "replace": data[:at] + new + data[end:],
            "insert": data[:at] + new + data[at:],
            "cut": data[:at],
            "repeat": data[:at] + data[at // 2 :],
        }[kind]
    return data


def read(path):
    """Read and look up: nothing but a DatasetError may come out, in one line."""
    try:
        annotations = read_annotations(path)
        assert any((image.points >= -1).any() for image in annotations.images.values())
        for name in annotations.images:
            with contextlib.suppress(DatasetError):
                annotations.find(Path(name), (64, 48))
        lines = annotations.notes
    except DatasetError as error:
        lines = (str(error),)
    assert not any("\n" in line for line in lines)


def slots(value):
    """Every container of a value with each of its keys."""
    steps = value.keys() if isinstance(value, dict) else range(len(value))
    for step in list(steps):
        yield value, step
        if isinstance(value[step], dict | list):
            yield from slots(value[step])


@bounded
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 999), st.sampled_from(VALUES)), max_size=3),
    edits,
    encodings,
)
def test_coco(changes, damage, encoding):
    content = copy.deepcopy(COCO)
    for drop, where, value in changes:
        found = list(slots(content))
        if not found:
            break
        holder, step = found[where % len(found)]
        if drop:
            del holder[step]
        else:
            holder[step] = copy.deepcopy(value)
    data = edited(json.dumps(content, indent=1).encode(encoding), damage)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keypoints.json"
        path.write_bytes(data)
        read(path)


@bounded
@given(st.sampled_from(TABLES), edits, encodings)
def test_tables(table, damage, encoding):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parts.csv"
        path.write_bytes(edited(table.encode(encoding), damage))
        read(path)


@bounded
@given(st.sampled_from(sorted(CUB)), edits, encodings, st.booleans())
def test_folders(name, damage, encoding, drop):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "parts").mkdir()
        for other, text in CUB.items():
            data = text.encode(encoding)
            (root / other).write_bytes(edited(data, damage) if other == name else data)
        if drop:
            (root / name).unlink()
        read(root)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x00\x00\x00\x00"])
@pytest.mark.parametrize("name", ["parts.csv", "keypoints.json"])
def test_next_to_nothing(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError):
        read_annotations(tmp_path / name)
