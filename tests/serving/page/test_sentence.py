"""The page says of an answer what Python says of it."""

from sentences import ANSWERS


def test_the_page_says_the_sentence_that_python_says(modules):
    answers = [
        {
            "scores": [
                {"label": score.label, "probability": score.probability} for score in answer.scores
            ],
            "explained": {
                "whole": answer.whole,
                "placed": answer.explained.placed,
                "prototypes": [
                    {"index": part.index, "name": part.name, "contribution": part.contribution}
                    for part in answer.explained.prototypes
                ],
            },
            "activation": answer.activation,
        }
        for answer in ANSWERS.values()
    ]
    said = modules.evaluate(
        """async (answers) => {
            const { sentenceOf } = await import("/page/sentence.js");
            return answers.map((a) => sentenceOf(a.scores, a.explained, a.activation));
        }""",
        answers,
    )
    assert dict(zip(ANSWERS, said, strict=True)) == {
        name: answer.said for name, answer in ANSWERS.items()
    }
