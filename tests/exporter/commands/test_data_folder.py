"""Every verb that takes class folders says where they are, if one level up was given."""

import shutil

import pytest


@pytest.fixture(scope="module")
def above(tiny_export, tmp_path_factory):
    """A folder with the class folders in its folder train."""
    root = tmp_path_factory.mktemp("above")
    shutil.copytree(tiny_export[0].data, root / "train")
    return root


@pytest.mark.parametrize("verb", ["export", "evaluate", "report", "quantize", "edit"])
def test_the_class_folders_below_are_meant(run, tiny_export, above, tmp_path, verb):
    config, artifact = tiny_export
    (tmp_path / "labels.json").write_text('["red", "green", "blue"]')
    model = {"export": config.model}.get(verb, artifact.folder)
    options = {
        "export": ("--preset", "unit", "--labels", tmp_path / "labels.json"),
        "edit": ("--name", "red:0=square", "--reason", "named"),
    }
    out = tmp_path / ("out.html" if verb == "report" else "out")
    code, told, err = run(verb, model, "--data", above, "--out", out, *options.get(verb, ()))
    assert (code, told) == (1, "")
    assert err.splitlines()[-1].endswith(f"found train. Did you mean {above / 'train'}?")
    assert not (out.exists() and any(out.iterdir()))
