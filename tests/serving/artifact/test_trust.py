"""What figures of trust say in words, and which figures are refused."""

import json
from types import SimpleNamespace

import pytest
from records import decomposed
from trusted import with_trust

from serving.artifact.trust import (
    HeldOutClass,
    HeldOutPartRecord,
    HeldOutTrust,
    SamePlaceRecord,
    TrainingPartRecord,
    TrainingTrust,
    Trust,
    TrustLimits,
    doubted,
    doubts_of,
    dump_trust,
    parse_trust,
    read_doubts,
    read_trust,
)
from serving.errors import IntegrityError
from serving.model.predictor import Predictor

LIMITS = TrustLimits(
    likeness=0.1, halves=0.6, border=0.5, same_place=0.5, steady=0.5, off_object=0.5, weak=0.25
)
SOUND = {"border": 0.1, "likeness": 0.5, "halves": 0.9}
SEEN = {"border": 0.1, "share": 0.5, "steady": None, "off_object": None}


def trust(*parts, held_out=(), chance=0.5):
    """Figures of one class, kites, whose parts have these on training and held-out images."""
    training = tuple(TrainingPartRecord(**{**SOUND, **part}) for part in parts)
    measured = None
    if held_out:
        found = tuple(HeldOutPartRecord(**{**SEEN, **part}) for part in held_out)
        kites = HeldOutClass(images=9, recognised=1.0, parts=found)
        measured = HeldOutTrust(artifact="0" * 64, data="test", classes=(kites,))
    return Trust(
        border_chance=chance,
        limits=LIMITS,
        training=TrainingTrust(classes=(training,)),
        held_out=measured,
    )


def said(found, *names):
    """What there is to doubt, (kind, sentence), of each part of the class."""
    names = names or ("prototype 0", "prototype 1")
    (parts,) = doubts_of(found, [decomposed(0, "kite", *names)])
    return [[(doubt.kind, doubt.says) for doubt in doubts] for doubts in parts]


def test_nothing_is_doubted_without_a_reason_or_without_figures():
    assert said(trust({}, {})) == [[], []]
    assert said(None) == [[], []]
    assert said(trust({"likeness": None, "halves": None}, {})) == [[], []]


def test_mixed_images_are_said_and_not_said_twice():
    mixed = [("mixed", "Its training images do not look alike.")]
    assert said(trust({"likeness": 0.05}, {"likeness": 0.05, "halves": 0.1})) == [mixed, mixed]


def test_halves_that_disagree_are_said():
    found = said(trust({"halves": 0.59}, {"halves": 0.6}))
    says = "The two halves of its training images show different things."
    assert found == [[("unstable", says)], []]


def test_the_other_at_the_same_place_has_its_name_or_its_number():
    places = [{"same_place": SamePlaceRecord(other=i, overlap=o)} for i, o in ((1, 0.7), (0, 0.49))]
    assert said(trust(*places)) == [[("same_place", "It looks at the same place as #1.")], []]
    found = said(trust(*places), "prototype 0", "dark_bill")
    assert found[0] == [("same_place", "It looks at the same place as dark bill.")]


def test_the_border_is_held_against_chance():
    at_border = {"border": 0.8}
    says = "It looks at the edge of the picture in 80 % of the training images."
    assert said(trust(at_border, {}))[0] == [("border", says)]
    assert said(trust(at_border, {}, chance=0.61))[0] == []
    assert said(trust({"border": 1.0}, {}, chance=1.0))[0] == []  # every cell is outermost


def test_held_out_images_are_believed_before_the_training_images():
    training = {"border": 0.9, "likeness": 0.05}
    assert said(trust(training, {}, held_out=({}, {})))[0] == [
        ("mixed", "Its training images do not look alike.")  # of this nothing is known there
    ]
    held_out = {"border": 0.9, "share": -0.01}
    assert said(trust({"border": 0.8}, {}, held_out=(held_out, {})))[0] == [
        ("border", "It looks at the edge of the picture in 90 % of the held-out images."),
        ("weak", "It hardly counts: 1 % of the evidence in the held-out images."),
    ]


def test_where_the_object_is_known_the_border_is_not_asked_for():
    held_out = {"border": 1.0, "steady": 0.4, "off_object": 0.5}
    assert said(trust({}, {}, held_out=(held_out, {"steady": 0.9})))[0] == [
        ("mixed", "It looks at one thing in no more than 40 % of the held-out images."),
        ("off_object", "It looks beside the object in 50 % of the held-out images."),
    ]
    assert said(trust({"likeness": 0.05}, {}, held_out=({"steady": 0.9}, {})))[0] == []


def test_of_a_muted_part_held_out_images_say_nothing():
    assert said(trust({}, {}, held_out=({"border": None, "share": None}, {})))[0] == []


def test_a_part_that_is_muted_for_good_is_not_counted():
    found = doubts_of(trust({"likeness": 0}, {"likeness": 0}), [decomposed(0, "kite", "a", "b")])
    assert doubted(SimpleNamespace(muted=frozenset()), found, 0) == 2
    assert doubted(SimpleNamespace(muted=frozenset({(0, 1)})), found, 0) == 1


def test_what_is_written_is_read():
    found = trust({"same_place": SamePlaceRecord(other=1, overlap=0.7)}, {}, held_out=({}, {}))
    assert parse_trust(dump_trust(found), "trust.json") == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "protohead-trust/2"}, "format"),
        ({"border_chance": 1.5}, "border_chance"),
        ({"more": 1}, "more"),
        ({"training": {"classes": [[{**SOUND, "same_place": {"other": 1, "overlap": 1}}]]}}, "1 p"),
        ({"training": {"classes": [[{**SOUND, "likeness": float("inf")}]]}}, "likeness"),
    ],
)
def test_figures_of_another_form_are_refused(change, message):
    content = {**json.loads(dump_trust(trust({}, {}))), **change}
    with pytest.raises(IntegrityError, match=message):
        parse_trust(json.dumps(content).encode(), "trust.json")


def test_an_artifact_without_figures_answers_without_doubts(tiny_export, tmp_path):
    artifact = with_trust(tiny_export[1], tmp_path / "old", None)
    assert read_trust(artifact) is None
    assert Predictor(artifact).doubts == (((), ()),) * 3


def test_figures_of_other_classes_are_refused(tiny_export, tmp_path):
    artifact = with_trust(tiny_export[1], tmp_path / "other", dump_trust(trust({}, {})))
    with pytest.raises(IntegrityError, match="expected figures of the manifest's classes"):
        Predictor(artifact)


def test_the_export_writes_figures_of_every_part(tiny_export):
    found = read_trust(tiny_export[1])
    assert [len(parts) for parts in found.training.classes] == [2, 2, 2]
    assert all(part.likeness is not None for parts in found.training.classes for part in parts)
    assert found.held_out is None
    assert len(read_doubts(tiny_export[1])) == 3
