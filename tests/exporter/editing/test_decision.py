"""How decisions are written on the command line."""

import pytest

from exporter.editing.decision import parse_name, parse_prototype


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kite:2", ("kite", 2)),
        ("birds: kite:10", ("birds: kite", 10)),
        ("a:1:0", ("a:1", 0)),
        ("Käuzchen, großes:0", ("Käuzchen, großes", 0)),
        ("17:0", ("17", 0)),
    ],
)
def test_a_prototype_is_split_at_the_last_colon(text, expected):
    assert parse_prototype(text) == expected


@pytest.mark.parametrize(
    "text", ["", "kite", "kite:", ":1", "kite:x", "kite:-1", "kite:1 ", "kite:²"]
)
def test_what_names_no_prototype_is_refused(text):
    with pytest.raises(ValueError, match="LABEL:NUMBER"):
        parse_prototype(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kite:0=red crest", (("kite", 0), "red crest")),
        ("birds: kite:0=tail: long=yes", (("birds: kite", 0), "tail: long=yes")),
        ("a=b:1=c", (("a=b", 1), "c")),
        ("kite:0=", (("kite", 0), "")),
    ],
)
def test_a_name_follows_the_first_number_and_equals_sign(text, expected):
    assert parse_name(text) == expected


@pytest.mark.parametrize("text", ["", "kite:0", "kite=crest", "=crest", ":0=crest", "kite:a=crest"])
def test_what_gives_no_name_is_refused(text):
    with pytest.raises(ValueError, match="LABEL:NUMBER=NAME"):
        parse_name(text)
