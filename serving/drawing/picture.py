"""The picture of an explanation: what was seen, which parts counted, where, and how much.

The answer in one sentence, then a section for each class, and in it a row for each part, as people
call a prototype:

    label                                                        logit, probability
    image      | heatmap | rank, name, contribution as bar and number | evidence crops
    regions    | heatmap | ...                                        |
               |           bias, common, others, logit                |

Discs carry the rank of a part in this picture; ``#2`` is the number of one that nobody has named.
The numbers stand in one column and add up to the logit. Bars have one scale, and colours one
meaning, across the picture. Lengths are in pixels of the picture, which is meant to be shown at
half size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from serving.artifact.classes import words
from serving.drawing.canvas import Point, apart, beside, disc, framed, paper, scaled, stack
from serving.drawing.lettering import Lettering, decimals_for, percent, signed
from serving.drawing.overlay import regions, strength, tint
from serving.drawing.palette import INK, LINE, SOFT, Colour, ink_on, prototype_colour
from serving.drawing.peaks import peak
from serving.drawing.sentence import ranked, sentence_of
from serving.drawing.terms import other_terms, refuse_infinite, strongest
from serving.errors import RequestError
from serving.model.explanation import ClassExplanation, Explanation, PrototypeExplanation
from serving.model.preprocess import decode

MARGIN = 72
GUTTER = 56
GAP = 24
PHOTOGRAPH = 416
TILE = 152  # heatmaps and crops: one size, so that rows line up
FIGURES = 408  # the column of names, bars and numbers
BAR = 26
CROPS = 5
CROP_GAP = 12
REGIONS = 4  # outlines on one photograph; more of them hide it and each other
TAG = 38
CAPTION = 22
CAPTION_GAP = 14
LINE_HEIGHT = 42
SENTENCE_LINES = 4  # of a sentence with endless labels

_WHOLE = "whole: too few training images"
_NUMBERS = "Numbers rank the parts by what they add to the class in this picture"
_HOW_TO_READ = "Heatmaps are relative to their own peak; bars share one scale."


def draw(
    explanation: Explanation,
    *,
    title: str = "",
    top: int = 3,
    rows: int = 6,
    font: Path | None = None,
) -> Image.Image:
    """Draw an explanation.

    Args:
        explanation: What a predictor answered for one image.
        title: A line above the picture, for example the image's file name.
        top: Classes to draw, 1 or more; fewer where fewer are explained. Where the best one has no
            parts, because it is whole or all its parts are muted, the best one that has some is
            drawn too, and said to be that.
        rows: Prototypes to draw for each class, 1 or more: those that count most. The others
            are summed in one line.
        font: TrueType or OpenType file for labels beyond basic Latin; None takes the font
            embedded in Pillow.

    Returns:
        RGB picture; the same explanation gives the same pixels.

    Raises:
        ArtifactError: A number of the explanation is not finite, or the font cannot be used.
        ImageError: An evidence crop cannot be decoded.
        RequestError: ``top`` or ``rows`` is below 1, or no class is explained.
    """
    if top < 1 or rows < 1:
        raise RequestError(f"expected top and rows of 1 or more, got {top} and {rows}.")
    classes = explanation.classes[:top]
    if not classes:
        raise RequestError("expected at least one explained class to draw, got none.")
    instead = next(filter(_has_parts, explanation.classes), None)
    if instead is not None and all(instead is not explained for explained in classes):
        classes += (instead,)
    for explained in classes:
        refuse_infinite(explained)
    sheet = _Sheet(explanation.view, classes, rows, font, sentence_of(explanation))
    pieces = [sheet.title(title)] if title.strip() else []
    for explained in classes:
        if explained is instead is not classes[0]:
            pieces.append(sheet.instead(classes[0]))
        pieces.append(sheet.section(explained))
    return framed(stack([*pieces, sheet.foot()], GUTTER), MARGIN)


class _Sheet:
    """What the pieces of one picture share: letters, columns and the scale of the bars."""

    def __init__(
        self,
        view: Image.Image,
        classes: tuple[ClassExplanation, ...],
        rows: int,
        font: Path | None,
        sentence: str,
    ) -> None:
        self.view = view
        self.sentence = sentence
        self.first = classes[0]
        self.sum = _sum_of(classes)
        self.rows = rows
        sizes = (50, 40, 28, 23)
        self.large, self.middle, self.text, self.small = (Lettering(size, font) for size in sizes)
        shown = [p for explained in classes for p in strongest(explained, rows)]
        self.unnamed = next((p.fixed_name for p in shown if not p.is_named), None)
        values = [0.0, *(p.contribution for p in shown)]
        self.low, self.high = min(values), max(values)
        self.decimals = decimals_for(max(-self.low, self.high))
        numbers = [self.text.width(signed(value, self.decimals)) for value in values]
        self.bar_width = FIGURES - GAP - math.ceil(max(numbers))
        self.row_width = TILE + GAP + FIGURES
        if any(p.evidence for p in shown):
            self.row_width += GUTTER + CROPS * (TILE + CROP_GAP) - CROP_GAP
        self.width = PHOTOGRAPH + GUTTER + self.row_width

    def title(self, title: str) -> Image.Image:
        page = paper(self.width, 28)
        text = self.text.fit(self.text.printable(title), self.width)
        self.text.write(page, (0, 22), text, SOFT)
        return page

    def instead(self, best: ClassExplanation) -> Image.Image:
        """Why the class below is looked at: the best one has no parts to show."""
        page = paper(self.width, 28)
        what = "is not split into parts" if best.whole else "has no part that is not muted"
        text = f"{_words(self.text, best.label)} {what}. The next class that has parts:"
        self.text.write(page, (0, 22), self.text.fit(text, self.width), SOFT)
        return page

    def foot(self) -> Image.Image:
        numbers = f"{_NUMBERS}."
        if self.unnamed is not None:
            numbers = f"{_NUMBERS}; {self.unnamed} is a number in the artifact."
        page = paper(self.width, 118)
        ImageDraw.Draw(page).rectangle((0, 0, self.width, 1), fill=LINE)
        for y, text in ((44, numbers), (78, _HOW_TO_READ), (112, self.sum)):
            self.small.write(page, (0, y), text, SOFT)
        return page

    def section(self, explained: ClassExplanation) -> Image.Image:
        shown = strongest(explained, self.rows)
        ranks = {p.index: rank for rank, p in enumerate(ranked(explained), 1)}
        left = [self._regions(shown, ranks)]
        if explained is self.first:
            # One part's region says no more than its heatmap does.
            photograph = scaled(self.view, PHOTOGRAPH)
            seen = self._captioned("what the network sees", photograph)
            left = [seen, *left] if len(shown) > 1 else [seen]
        rows = [self._row(p, ranks[p.index], whole=explained.whole) for p in shown]
        right = stack([self._captions(shown), stack(rows, GAP), self._sum(explained)], CAPTION_GAP)
        pieces = [self._heading(explained), beside(stack(left, GAP), right, GUTTER)]
        return stack([self._answer(), *pieces] if explained is self.first else pieces, GAP)

    def _answer(self) -> Image.Image:
        """The answer in one sentence, in as many lines as it needs."""
        text = self.middle.printable(self.sentence)
        lines = self.middle.wrapped(text, self.width, SENTENCE_LINES)
        page = paper(self.width, 52 * len(lines))
        for number, line in enumerate(lines):
            self.middle.write(page, (0, 38 + 52 * number), line, INK)
        return page

    def _heading(self, explained: ClassExplanation) -> Image.Image:
        page = paper(self.width, 84)
        ImageDraw.Draw(page).rectangle((0, 0, self.width, 2), fill=INK)
        right = float(self.width)
        share = percent(explained.probability)
        self.large.write(page, (right, 66), share, INK, "r")
        right -= self.large.width(share) + GUTTER
        logit = "logit " + signed(explained.logit, self.decimals)
        self.text.write(page, (right, 66), logit, SOFT, "r")
        right -= self.text.width(logit) + GUTTER
        label = _words(self.large, explained.label) or f"class {explained.class_id}"
        self.large.write(page, (0, 66), self.large.fit(label, right), INK)
        return page

    def _captioned(self, caption: str, picture: Image.Image) -> Image.Image:
        page = paper(PHOTOGRAPH, CAPTION)
        self.small.write(page, (0, 17), caption, SOFT)
        return stack([page, picture], CAPTION_GAP)

    def _captions(self, shown: list[PrototypeExplanation]) -> Image.Image:
        page = paper(self.row_width, CAPTION)
        self.small.write(page, (0, 17), "where", SOFT)
        self.small.write(page, (TILE + GAP, 17), "how much, logit units", SOFT)
        if any(p.evidence for p in shown):
            x = TILE + GAP + FIGURES + GUTTER
            self.small.write(page, (x, 17), "looks like, in training images", SOFT)
        return page

    def _row(self, prototype: PrototypeExplanation, rank: int, *, whole: bool) -> Image.Image:
        page = paper(self.row_width, TILE)
        colour = prototype_colour(prototype.index)
        photograph = scaled(self.view, TILE)
        heat = tint(photograph, strength(prototype.heatmap, photograph.size), colour)
        page.paste(heat, (0, (TILE - heat.height) // 2))
        x = TILE + GAP
        self._tag(page, (x + TAG // 2, 14 + TAG // 2), prototype.index, rank)
        self._name(page, (x + TAG + GAP // 2, 43), prototype, rank)
        self._bar(page, (x, 78), prototype.contribution, colour)
        note = _WHOLE if whole else _doubts(prototype)
        self.small.write(page, (x, 146), self.small.fit(note, FIGURES), SOFT)
        x += FIGURES + GUTTER
        for evidence in prototype.evidence[:CROPS]:
            crop = ImageOps.fit(decode(evidence.path), (TILE, TILE), Image.Resampling.LANCZOS)
            page.paste(crop, (x, 0))
            x += TILE + CROP_GAP
        return page

    def _name(
        self, page: Image.Image, at: Point, prototype: PrototypeExplanation, rank: int
    ) -> None:
        """A part's own name; of one without, its rank and softly its number in the artifact."""
        x, y = at
        own = self.text.printable(prototype.fixed_name) or f"#{prototype.index}"
        if not prototype.is_named:
            said = f"part {rank} "
            self.text.write(page, (x, y), said, INK)
            self.text.write(page, (x + self.text.width(said), y), own, SOFT)
            return
        self.text.write(page, (x, y), self.text.fit(own, FIGURES - TAG - GAP // 2), INK)

    def _bar(self, page: Image.Image, at: Point, value: float, colour: Colour) -> None:
        """The contribution as a bar from the zero line, its number at the column's right end."""
        x, y = at
        span = (self.high - self.low) or 1.0
        zero = x + round(-self.low / span * self.bar_width)
        end = zero + round(value / span * self.bar_width)
        pen = ImageDraw.Draw(page)
        if end != zero:
            pen.rectangle((min(zero, end), y, max(zero, end) - 1, y + BAR - 1), fill=colour)
        pen.rectangle((zero - 1, y - 7, zero, y + BAR + 6), fill=SOFT)
        number = signed(value, self.decimals)
        self.text.write(page, (x + FIGURES, y + 23), number, INK, "r")

    def _sum(self, explained: ClassExplanation) -> Image.Image:
        lines = other_terms(explained, self.rows, self.decimals)
        page = paper(self.row_width, LINE_HEIGHT * (len(lines) + 1) + GAP)
        x, right, y = TILE + GAP, TILE + GAP + FIGURES, 0
        for name, value in lines:
            y += LINE_HEIGHT
            number = signed(value, self.decimals)
            room = FIGURES - GAP - self.text.width(number)
            self.small.write(page, (x, y), self.small.fit(name, room), SOFT)
            self.text.write(page, (right, y), number, INK, "r")
        ImageDraw.Draw(page).rectangle((x, y + 14, right - 1, y + 15), fill=INK)
        y += LINE_HEIGHT + 12
        self.small.write(page, (x, y), "logit", INK)
        self.text.write(page, (right, y), signed(explained.logit, self.decimals), INK, "r")
        return page

    def _regions(self, shown: list[PrototypeExplanation], ranks: Mapping[int, int]) -> Image.Image:
        photograph = scaled(self.view, PHOTOGRAPH)
        size = photograph.size
        # What speaks against the class is no region of it.
        looking = [p for p in shown if p.contribution > 0 and p.heatmap.max() > 0]
        parts = looking[:REGIONS]
        # Reversed, so that the strongest lies on top.
        picture = regions(
            photograph,
            [(strength(p.heatmap, size), prototype_colour(p.index)) for p in reversed(parts)],
        )
        centres = apart([peak(p.heatmap, size) for p in parts], TAG, size)
        for p, centre in zip(parts, centres, strict=True):
            self._tag(picture, centre, p.index, ranks[p.index])
        who = f"the strongest {REGIONS}" if len(parts) < len(looking) else "the parts"
        return self._captioned(f"where {who} look", picture)

    def _tag(self, page: Image.Image, centre: Point, index: int, rank: int) -> None:
        """A part's rank on a disc of its colour, which is that of its number in the artifact."""
        colour = prototype_colour(index)
        disc(page, centre, TAG, colour)
        self.small.write(page, (centre[0], centre[1] + 8), str(rank), ink_on(colour), "m")


def _has_parts(explained: ClassExplanation) -> bool:
    return not explained.whole and any(p.heatmap.any() for p in explained.prototypes)


def _words(letters: Lettering, name: str) -> str:
    """A name as it is drawn: folder names write spaces as underscores."""
    return letters.printable(words(name))


def _doubts(prototype: PrototypeExplanation) -> str:
    """Why to look at a part twice, in a few words; nothing where there is no reason."""
    found = ", ".join(doubt.brief for doubt in prototype.doubts)
    return f"look twice: {found}" if found else ""


def _sum_of(classes: tuple[ClassExplanation, ...]) -> str:
    """What the drawn numbers add up to, in words."""
    terms = ["Contributions", "bias", "common"]
    if any(explained.unplaced for explained in classes):
        terms.append("what comes from no place of the picture")
    if any(explained.rounding for explained in classes):
        terms.append("rounding")
    return " + ".join(terms) + " = logit."
