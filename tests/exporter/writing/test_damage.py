"""Whatever happened to the files of a work folder or an artifact, no exception but ours."""

import json
import shutil

import numpy as np
import pytest
import tiny
from manifests import write_manifest
from trees import tree

from exporter import edit, export
from exporter.errors import ExporterError
from serving import load_artifact
from serving.artifact import dump_manifest
from serving.errors import ArtifactError

MUTATIONS = 250
VALUES = [None, True, -1, 1e308, "", "x" * 300, [], {}, [[]], "NaN", "../../etc/passwd", 2**70]


def damage(content, generator):
    """The bytes of a file as a disk, a copy or another tool may leave them."""
    changed = bytearray(content)
    kind = generator.integers(5)
    if kind == 0:  # cut off, down to nothing
        return bytes(changed[: generator.integers(len(changed) + 1)])
    if kind == 1:  # zeros at the end, as a loss of power leaves them
        start = int(generator.integers(len(changed) + 1))
        return bytes(changed[:start]) + bytes(len(changed) - start)
    if kind == 2:  # another file
        return generator.bytes(int(generator.integers(64)))
    for _ in range(1 if kind == 3 else 16):  # flipped bits
        if changed:
            place = int(generator.integers(len(changed)))
            changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def replace_a_value(node, generator):
    """Put another value somewhere into a JSON document, or take a key away."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(generator.integers(len(keys)))]
        deeper = isinstance(node[key], (dict, list)) and len(node[key]) > 0
        if deeper and generator.random() < 0.7:
            node = node[key]
        elif isinstance(node, dict) and generator.random() < 0.3:
            del node[key]
            return
        else:
            node[key] = VALUES[int(generator.integers(len(VALUES)))]
            return


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """An export that stopped when its classes were finished, and what it would have written."""
    folder = tmp_path_factory.mktemp("stopped")
    config = tiny.write(folder, images=3).model_copy(update={"min_images": 2, "method": "naive"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.pipelines.export.write_artifact", stop)
        with pytest.raises(KeyboardInterrupt):
            export(config)
    expected = tree(export(config.model_copy(update={"out": folder / "whole"})).folder)
    return config, folder / f"{config.out.name}.part", expected


def stop(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_damaged_work_folder_resumes_to_the_same_bytes_or_is_left_alone(stopped, tmp_path):
    config, part, expected = stopped
    generator = np.random.default_rng(0)
    names = sorted(tree(part))
    resumed = 0
    for number in range(MUTATIONS // 5):
        out = tmp_path / str(number)
        copy = shutil.copytree(part, tmp_path / f"{number}.part")
        for name in generator.choice(names, size=5, replace=False):
            (copy / name).write_bytes(damage((copy / name).read_bytes(), generator))
        before = tree(copy)
        try:
            export(config.model_copy(update={"out": out, "resume": True}))
        except ExporterError:
            assert not out.exists()
            assert {name: tree(copy)[name] for name in before if "lock" not in name}.items() <= (
                before.items()
            )
            continue
        assert tree(out) == expected
        resumed += 1
    assert resumed > MUTATIONS // 10


def test_a_damaged_manifest_is_refused_in_one_line(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    content = (folder / "manifest.json").read_bytes()
    generator = np.random.default_rng(1)
    for _ in range(MUTATIONS):
        changed = damage(content, generator)
        (folder / "manifest.json").write_bytes(changed)
        if changed != content:
            with pytest.raises(ArtifactError) as refused:
                load_artifact(folder)
            assert len(str(refused.value)) < 2000


def test_a_manifest_that_says_something_else_loads_as_said_or_is_refused(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    content = json.loads((folder / "manifest.json").read_bytes())
    generator = np.random.default_rng(2)
    refused = 0
    for _ in range(MUTATIONS):
        changed = json.loads(json.dumps(content))
        for _ in range(int(generator.integers(1, 4))):
            replace_a_value(changed, generator)
        write_manifest(folder, changed)
        try:
            dump_manifest(load_artifact(folder).manifest)
        except ArtifactError:
            refused += 1
    assert refused > MUTATIONS // 2


def test_a_folder_beside_the_output_that_is_damaged_stops_no_edit(tiny_export, tmp_path):
    generator = np.random.default_rng(3)
    mark = b'{"format": "protohead-work/1", "work": "edit", "of": {}}'
    for number in range(10):
        out = tmp_path / str(number)
        part = tmp_path / f"{number}.part"
        part.mkdir()
        (part / "mark.json").write_bytes(damage(mark, generator))
        before = tree(part)
        try:
            edit(tiny_export[1].folder, out, reason="r", mute=[("red", 0)])
            assert not part.exists()
        except ExporterError:
            assert not out.exists()
            assert tree(part) == before
