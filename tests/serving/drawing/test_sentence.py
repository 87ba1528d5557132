"""The one sentence of an answer; tests/serving/page/test_sentence.py holds the page to it."""

import dataclasses

import pytest
from sentences import ANSWERS, MIXED, SURE, Answer

from serving.drawing.sentence import ranked, sentence_of


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_said_in_one_sentence(name):
    assert sentence_of(ANSWERS[name].explanation) == ANSWERS[name].said


def test_parts_are_ranked_by_what_they_add_and_those_against_come_last():
    explained = Answer("", SURE, [("a", -3.0), ("b", 1.0), ("c", 2.0), ("d", 1.0)]).explained
    assert [part.name for part in ranked(explained)] == ["c", "b", "d", "a"]


def test_a_part_keeps_its_name_or_its_number_in_every_picture():
    assert [part.fixed_name for part in Answer("", SURE, MIXED).explained.prototypes] == [
        "face", "bill", "#2",
    ]  # fmt: skip


def test_a_class_that_was_asked_for_is_said_behind_the_best_one():
    answer = ANSWERS["named"]
    other = dataclasses.replace(answer.explained, class_id=2, label="Owl", probability=0.001)
    asked = dataclasses.replace(answer.explanation, classes=(other,))
    assert sentence_of(asked) == (
        "It says Horned Puffin (97.8 %). Owl (0.1 %) mostly for the dark body (1), bill (2) and "
        "face (3)."
    )
    whole = dataclasses.replace(asked, classes=(dataclasses.replace(other, whole=True),))
    assert sentence_of(whole) == (
        "It says Horned Puffin (97.8 %). Owl (0.1 %). This class is not split into parts."
    )
