"""What a shell completes, as click asks the program for it."""

import pytest
from click.shell_completion import BashComplete

from exporter.cli import cli

BASH = BashComplete(cli, {}, "protohead", "_PROTOHEAD_COMPLETE")


def completed(words, begun):
    return BASH.get_completions(words, begun)


def test_verbs_options_and_presets_are_completed():
    assert {"export", "explain", "evaluate"} <= {item.value for item in completed([], "e")}
    assert "--preset" in {item.value for item in completed(["export"], "--pre")}
    presets = {item.value for item in completed(["export", "--preset"], "keras-")}
    assert {"keras-tf", "keras-caffe"} <= presets


@pytest.mark.parametrize(
    "words",
    [["export"], ["inspect"], ["verify"], ["serve"], ["explain"], ["verify", "a", "--model"]],
)
def test_a_path_is_completed_where_a_name_or_an_address_may_stand_too(words):
    assert [(item.value, item.type) for item in completed(words, "dem")] == [("dem", "file")]
