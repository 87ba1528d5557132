"""The picture of an explanation says what the explanation says, whatever is in it."""

from __future__ import annotations

import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from serving.artifact.trust import Doubt
from serving.drawing import lettering as lettering_module
from serving.drawing.canvas import apart
from serving.drawing.lettering import MINUS, Lettering, decimals_for, percent, signed
from serving.drawing.overlay import LEVEL, pale, regions, strength, tint
from serving.drawing.palette import INK, PAPER, Colour, ink_on, luminance, prototype_colour
from serving.drawing.picture import (
    FIGURES,
    GAP,
    GUTTER,
    MARGIN,
    PHOTOGRAPH,
    SENTENCE_LINES,
    TAG,
    TILE,
    draw,
)
from serving.errors import ArtifactError, ImageError, RequestError
from serving.model.explanation import (
    ClassExplanation,
    Evidence,
    Explanation,
    PrototypeExplanation,
    Score,
)

LETTERS = Lettering(28)
BEST = (Score(0, "Blue_Jay", 0.5),)  # what the sentence says, whichever classes are drawn


def make_view(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A smooth grey ramp, so that every saturated colour in a picture was drawn on it."""
    ramp = np.linspace(40, 220, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    return Image.fromarray(ramp).convert("RGB")


def make_class(
    k: int = 3,
    *,
    grid: tuple[int, int] = (7, 7),
    class_id: int = 0,
    label: str = "Blue_Jay",
    whole: bool = False,
    evidence: tuple[Evidence, ...] = (),
    gain: float = 1.0,
) -> ClassExplanation:
    random = np.random.default_rng([k, *grid, class_id])
    heatmaps = (gain * random.normal(0.4, 1.0, (k, *grid))).astype(np.float32)
    contributions = heatmaps.astype(np.float64).mean(axis=(1, 2))
    prototypes = tuple(
        PrototypeExplanation(i, f"prototype {i}", float(c), heatmap, evidence)
        for i, (c, heatmap) in enumerate(zip(contributions, heatmaps, strict=True))
    )
    logit = float(contributions.sum()) + 0.25 - 1.5
    return ClassExplanation(class_id, label, logit, 0.5, 0.25, -1.5, 0.0, 0.0, whole, prototypes)


def make_explanation(*classes: ClassExplanation) -> Explanation:
    return Explanation(make_view(), classes, BEST)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def has_bar(picture: Image.Image, colour: Colour) -> bool:
    """Whether an upright run of 20 pixels has exactly this colour: smoothed edges are shorter."""
    match = (pixels(picture) == colour).all(axis=2).astype(int)
    return bool(sum(match[i : len(match) - 19 + i] for i in range(20)).max() == 20)


@pytest.fixture
def crop(tmp_path: Path) -> Evidence:
    path = tmp_path / "crop.jpg"
    Image.new("RGB", (128, 128), (120, 40, 160)).save(path)
    return Evidence(path, "train/0001.jpg", 3.0)


# The whole picture


def test_the_same_explanation_gives_the_same_bytes(crop: Evidence) -> None:
    first, second = (draw(make_explanation(make_class(evidence=(crop,) * 5))) for _ in range(2))
    assert first.size == second.size
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("k", [1, 3, 10, 32])
@pytest.mark.parametrize("grid", [(1, 1), (7, 7), (5, 9), (28, 28)])
@pytest.mark.parametrize("classes", [1, 5])
def test_every_number_of_prototypes_grid_and_classes_draws(
    k: int, grid: tuple[int, int], classes: int
) -> None:
    explained = (make_class(k, grid=grid, class_id=i) for i in range(classes))
    picture = draw(make_explanation(*explained), top=classes)
    # The paper reaches all four edges: nothing was drawn into the margin.
    frame = pixels(picture)
    for edge in (frame[:40], frame[-40:], frame[:, :40], frame[:, -40:]):
        assert (edge == PAPER).all()


def test_more_classes_make_the_picture_longer_and_top_limits_them() -> None:
    explanation = make_explanation(*(make_class(class_id=i) for i in range(5)))
    heights = [draw(explanation, top=top).height for top in (1, 2, 5, 9)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_many_prototypes_keep_the_height_of_the_rows_asked_for() -> None:
    few, many = (draw(make_explanation(make_class(k)), rows=6).height for k in (7, 32))
    assert few == many


def test_each_drawn_prototype_has_a_bar_in_its_own_colour() -> None:
    picture = draw(make_explanation(make_class(3)))
    assert all(has_bar(picture, prototype_colour(index)) for index in range(3))
    assert not any(has_bar(picture, prototype_colour(index)) for index in range(3, 9))


def test_a_part_to_look_at_twice_has_a_note_and_the_others_have_none() -> None:
    plain = make_class(3)
    first = max(plain.prototypes, key=lambda p: abs(p.contribution))
    doubted = dataclasses.replace(first, doubts=(Doubt("mixed", "Its images differ."),))
    parts = tuple(doubted if p is first else p for p in plain.prototypes)
    noted = dataclasses.replace(plain, prototypes=parts)
    one, other = (pixels(draw(make_explanation(explained))) for explained in (plain, noted))
    rows = np.flatnonzero((one != other).any(axis=(1, 2)))
    assert 0 < len(rows) < TILE
    assert rows.max() - rows.min() < 40  # one line of small letters


def test_the_prototypes_that_count_most_are_the_ones_drawn() -> None:
    explained = make_class(10)
    ranked = sorted(explained.prototypes, key=lambda p: -abs(p.contribution))
    picture = draw(make_explanation(explained), rows=4)
    assert all(has_bar(picture, prototype_colour(p.index)) for p in ranked[:4])
    assert not any(has_bar(picture, prototype_colour(p.index)) for p in ranked[4:])


def test_a_disc_carries_the_rank_and_the_colour_of_the_part() -> None:
    def disc_of_the_first(*contributions: float) -> bytes:
        shown = draw(make_explanation(of_contributions(*contributions)))
        x = MARGIN + PHOTOGRAPH + GUTTER + TILE + GAP
        match = (pixels(shown)[:, x : x + TAG] == prototype_colour(0)).all(axis=2).any(axis=1)
        top = int(np.flatnonzero(match)[0])
        return shown.crop((x, top, x + TAG, top + TAG - 6)).tobytes()

    strongest, second = disc_of_the_first(3.0, 2.0), disc_of_the_first(2.0, 3.0)
    assert strongest != second
    assert disc_of_the_first(3.0, 1.0) == strongest


def test_the_answer_stands_in_one_sentence_above_the_classes() -> None:
    sure, unsure = (
        draw(dataclasses.replace(make_explanation(make_class()), best=best))
        for best in (BEST, (*BEST, Score(1, "Great_Blue_Heron", 0.4)))
    )
    assert sure.width == unsure.width
    assert sure.tobytes() != unsure.tobytes()
    endless = (Score(0, "Jay " * 2000, 0.5),)
    longest = draw(dataclasses.replace(make_explanation(make_class()), best=endless))
    assert longest.height < sure.height + 52 * SENTENCE_LINES


def test_bars_have_one_scale_across_classes() -> None:
    def longest_run(explanation: Explanation, colour: Colour) -> int:
        match = (pixels(draw(explanation)) == colour).all(axis=2)
        return int(match.sum(axis=1).max())

    def only(contribution: float, index: int) -> ClassExplanation:
        heatmap = np.full(
            (1, 1), -1.0, dtype=np.float32
        )  # nothing positive: only the bar has colour
        prototype = PrototypeExplanation(index, "", contribution, heatmap, ())
        return ClassExplanation(
            index, "a", contribution, 0.5, 0.0, 0.0, 0.0, 0.0, False, (prototype,)
        )

    explanation = make_explanation(only(4.0, 0), only(1.0, 1))
    ratio = longest_run(explanation, prototype_colour(0)) / longest_run(
        explanation, prototype_colour(1)
    )
    assert ratio == pytest.approx(4.0, rel=0.03)  # ends of bars are rounded to whole pixels


def of_contributions(*contributions: float, heatmap: np.ndarray | None = None) -> ClassExplanation:
    """A class of prototypes that look at one place, or nowhere."""
    shared = np.full((1, 1), -1, np.float32) if heatmap is None else heatmap
    prototypes = tuple(
        PrototypeExplanation(index, "a name", value, shared, ())
        for index, value in enumerate(contributions)
    )
    return ClassExplanation(0, "a", sum(contributions), 0.5, 0.0, 0.0, 0.0, 0.0, False, prototypes)


def test_what_counts_against_a_class_is_drawn_left_of_what_counts_for_it() -> None:
    shown = pixels(draw(make_explanation(of_contributions(3.0, -2.0))))
    bars = []
    for index in (1, 0):
        own = (shown == prototype_colour(index)).all(axis=2)
        bars.append(np.flatnonzero(own[own.sum(axis=1).argmax()]))  # columns of the longest row
    against, for_it = bars
    column = MARGIN + PHOTOGRAPH + GUTTER + TILE + GAP  # where names, bars and numbers begin
    assert column <= against.min() <= against.max() < for_it.min()
    assert for_it.max() < column + FIGURES
    assert len(for_it) == pytest.approx(1.5 * len(against), rel=0.03)  # whole pixels


def test_the_prototypes_that_are_not_drawn_are_summed_in_one_line() -> None:
    def drawn(*contributions: float) -> bytes:
        return draw(make_explanation(of_contributions(*contributions)), rows=1).tobytes()

    assert drawn(5.0, 1.0, 2.0) == drawn(5.0, 2.5, 0.5) == drawn(5.0, 4.0, -1.0)
    assert drawn(5.0, 1.0, 2.0) != drawn(5.0, 1.0, 2.5)


def test_where_two_look_the_stronger_one_has_the_outline() -> None:
    place = np.zeros((3, 3), np.float32)
    place[1, 1] = 1
    shown = pixels(draw(make_explanation(of_contributions(1.0, 5.0, heatmap=place))))
    left = shown[:, : MARGIN + PHOTOGRAPH]  # of each colour a disc with its number, and outlines
    weaker, stronger = ((left == prototype_colour(i)).all(axis=2).sum() for i in (0, 1))
    assert stronger > 1.3 * weaker


def test_without_evidence_the_picture_is_narrower_not_hollow(crop: Evidence) -> None:
    without = draw(make_explanation(make_class()))
    beside = draw(make_explanation(make_class(evidence=(crop,))))
    assert without.width < beside.width
    # Ink reaches into the last tenth of the rows: no empty column is kept.
    ink = (pixels(without) != PAPER).any(axis=2)[250:700]
    assert ink[:, int(without.width * 0.85) :].any()


def test_evidence_crops_are_shown_at_most_five(crop: Evidence) -> None:
    five, seven = (draw(make_explanation(make_class(evidence=(crop,) * n))) for n in (5, 7))
    assert five.tobytes() == seven.tobytes()
    assert (np.abs(pixels(five) - (120, 40, 160)).max(axis=2) <= 4).any()  # JPEG is lossy


def test_a_whole_class_says_so() -> None:
    plain = make_class(1)
    whole = dataclasses.replace(plain, whole=True)
    assert draw(make_explanation(plain)).tobytes() != draw(make_explanation(whole)).tobytes()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written in pictures, in order."""
    texts: list[str] = []
    write = Lettering.write

    def note(self: Lettering, page: Image.Image, at: object, text: str, *rest: object) -> None:
        texts.append(text)
        write(self, page, at, text, *rest)

    monkeypatch.setattr(Lettering, "write", note)
    return texts


def muted(explained: ClassExplanation) -> ClassExplanation:
    """The same with every prototype switched off."""
    silent = [
        dataclasses.replace(p, contribution=0.0, heatmap=0 * p.heatmap)
        for p in explained.prototypes
    ]
    return dataclasses.replace(explained, prototypes=tuple(silent))


SPLIT = make_class(3, class_id=1, label="Puffin")


@pytest.mark.parametrize(
    ("best", "why", "top"),
    [
        (make_class(1, whole=True), "Blue Jay is not split into parts.", 1),
        (muted(make_class(3)), "Blue Jay has no part that is not muted.", 3),
    ],
)
def test_where_the_best_class_has_no_parts_the_best_that_has_is_drawn_and_said_to_be(
    best: ClassExplanation, why: str, top: int, written: list[str]
) -> None:
    draw(make_explanation(best, best, SPLIT, dataclasses.replace(SPLIT, label="Wren")), top=top)
    note = written.index(f"{why} The next class that has parts:")
    assert written.index("Puffin") > note > written.index("Blue Jay")
    assert "Wren" not in written


def test_where_the_best_class_has_parts_or_none_has_nothing_is_added(written: list[str]) -> None:
    draw(make_explanation(SPLIT, make_class(3)), top=1)
    draw(make_explanation(make_class(1, whole=True)), top=1)
    assert [text for text in written if "The next class that" in text] == []
    assert written.count("Puffin") == written.count("Blue Jay") == 1


def test_a_sum_that_does_not_reach_the_logit_gets_a_line_for_the_difference() -> None:
    explained = make_class()
    exact, rounded, broken = (
        # A flat photograph, so that the column with the sum sets the height.
        draw(Explanation(make_view((64, 8)), (dataclasses.replace(explained, logit=logit),))).height
        for logit in (explained.logit, explained.logit + 1e-5, explained.logit + 0.5)
    )
    assert exact == rounded < broken


def test_what_comes_from_no_place_is_a_line_of_the_sum_and_only_where_there_is_any() -> None:
    explained = make_class()
    plain, unplaced, missing = (
        draw(Explanation(make_view((64, 8)), (dataclasses.replace(explained, **changes),)))
        for changes in (
            {},
            {"unplaced": 0.75, "logit": explained.logit + 0.75},
            {"logit": explained.logit + 0.75},  # a line for the difference in its place
        )
    )
    assert plain.height < unplaced.height == missing.height
    assert unplaced.tobytes() != missing.tobytes()


@pytest.mark.parametrize(
    "label",
    [
        "",
        " \n\t_",
        "x" * 5000,
        "word_" * 800,
        "Straße_élégante",
        "青い鳥",
        "🐦\u200d🔥",
        "two\nlines\r\nand\x00control",
        "e\u0301\ufe0f",
        "−5 … %s {label}",
        "\ud800",
    ],
)
def test_any_label_name_and_title_draws_and_stays_inside(label: str) -> None:
    explained = make_class(label=label)
    named = tuple(dataclasses.replace(p, name=label) for p in explained.prototypes)
    explained = dataclasses.replace(explained, prototypes=named)
    frame = pixels(draw(make_explanation(explained), title=label))
    assert (frame[:, -60:] == PAPER).all()


@pytest.mark.parametrize("gain", [1e-30, 1e-6, 1e4, 1e30])
def test_numbers_of_any_size_draw(gain: float) -> None:
    frame = pixels(draw(make_explanation(make_class(gain=gain))))
    assert (frame[:, -60:] == PAPER).all()


@pytest.mark.parametrize("size", [(1, 1), (300, 4), (4, 300), (28, 28), (640, 480)])
def test_any_size_of_view_draws(size: tuple[int, int]) -> None:
    picture = draw(Explanation(make_view(size), (make_class(),)))
    assert picture.width == draw(make_explanation(make_class())).width


def test_nothing_positive_anywhere_draws_without_colour_on_the_photographs() -> None:
    explained = make_class(1)
    (prototype,) = explained.prototypes
    silent = dataclasses.replace(
        prototype, heatmap=np.zeros((7, 7), dtype=np.float32), contribution=0.0
    )
    frame = pixels(draw(make_explanation(dataclasses.replace(explained, prototypes=(silent,)))))
    colour = np.asarray(prototype_colour(0))
    inked = (np.abs(frame - colour).max(axis=2) <= 2).sum()
    assert inked < 38**2  # nothing but the disc with the prototype's number


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    explained = make_class(3)
    heatmap = explained.prototypes[1].heatmap.copy()
    heatmap[2, 3] = bad
    broken = dataclasses.replace(explained.prototypes[1], heatmap=heatmap)
    prototypes = (explained.prototypes[0], broken, explained.prototypes[2])
    with pytest.raises(ArtifactError, match=r"'Blue_Jay'.*heatmap of prototype 1"):
        draw(make_explanation(dataclasses.replace(explained, prototypes=prototypes)))
    with pytest.raises(ArtifactError, match="for the logit"):
        draw(make_explanation(dataclasses.replace(explained, logit=bad)))
    with pytest.raises(ArtifactError, match="from no place"):
        draw(make_explanation(dataclasses.replace(explained, unplaced=bad)))


def test_an_evidence_crop_that_is_gone_is_an_error(tmp_path: Path) -> None:
    gone = Evidence(tmp_path / "gone.jpg", "train/0001.jpg", 3.0)
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        draw(make_explanation(make_class(evidence=(gone,))))


@pytest.mark.parametrize(("top", "rows"), [(0, 6), (3, 0), (-1, 1)])
def test_no_classes_and_no_rows_are_refused(top: int, rows: int) -> None:
    with pytest.raises(RequestError, match="1 or more"):
        draw(make_explanation(make_class()), top=top, rows=rows)
    with pytest.raises(RequestError, match="got none"):
        draw(make_explanation())


# Heatmaps on photographs


@pytest.mark.parametrize("index", range(32))
def test_a_prototypes_colour_is_where_it_peaks_and_nowhere_else(index: int) -> None:
    heatmap = np.full((7, 7), -2.0, dtype=np.float32)
    heatmap[1, 5] = 3.0
    heatmap[5, 1] = 0.0
    view = make_view((140, 140))
    colour = prototype_colour(index)
    tinted = pixels(tint(view, strength(heatmap, view.size), colour))
    grey = pixels(pale(view))
    # At the peak nearly all of the way from grey to the colour under the photograph's shade;
    # the last 14 % stay grey, and the pixel lies half a pixel beside the peak.
    shaded = np.asarray(colour) * (0.5 + 0.5 * grey[30, 110] / 255)
    left = np.abs(tinted[30, 110] - shaded).sum()
    assert left < 0.2 * np.abs(grey[30, 110] - shaded).sum()
    # Exactly grey from one cell away, where the heatmap is zero or negative.
    np.testing.assert_array_equal(tinted[60:], grey[60:])
    np.testing.assert_array_equal(tinted[:, :60], grey[:, :60])


def test_strength_is_relative_to_the_heatmaps_own_peak() -> None:
    heatmap = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    one = strength(heatmap, (70, 70))
    assert one.min() == 0.0
    assert 0.9 < one.max() <= 1.0  # pixel centres lie beside the cell's centre
    # float32 scaling by a power of two is exact.
    np.testing.assert_array_equal(one, strength(heatmap * np.float32(1024), (70, 70)))


@given(st.integers(1, 28), st.integers(1, 28), st.integers(0, 2**32 - 1))
def test_strength_stays_between_nothing_and_the_peak(h: int, w: int, seed: int) -> None:
    heatmap = np.random.default_rng(seed).normal(size=(h, w)).astype(np.float32)
    values = strength(heatmap, (45, 30))
    assert values.shape == (30, 45)
    assert values.min() >= 0.0
    assert values.max() <= 1.0


def test_a_heatmap_without_positive_evidence_leaves_the_photograph_grey() -> None:
    view = make_view()
    for heatmap in (np.zeros((7, 7)), np.full((7, 7), -1.0)):
        tinted = tint(view, strength(heatmap, view.size), prototype_colour(0))
        assert tinted.tobytes() == pale(view).tobytes()


def test_the_strength_lies_over_the_cell_that_caused_it() -> None:
    heatmap = np.zeros((7, 7))
    heatmap[2, 4] = 1.0
    values = strength(heatmap, (140, 140))
    rows, columns = np.nonzero(values > LEVEL)
    # Cell (2, 4) covers rows 40..59 and columns 80..99; its centre is between two pixels.
    assert (rows.mean(), columns.mean()) == pytest.approx((49.5, 89.5))


def test_regions_keep_the_photographs_colours_inside_and_outline_them() -> None:
    view = Image.new("RGB", (200, 200), (200, 30, 60))
    heatmap = np.zeros((5, 5))
    heatmap[2, 2] = 1.0
    colour = prototype_colour(1)
    picture = regions(view, [(strength(heatmap, view.size), colour)])
    assert picture.getpixel((100, 100)) == (200, 30, 60)
    assert picture.getpixel((5, 5)) == pale(view).getpixel((5, 5))
    match = (pixels(picture) == colour).all(axis=2)
    distances = np.hypot(*(np.argwhere(match) - 99.5).T)
    # A closed line: pixels of the colour all around, none inside the cell's inner half.
    assert distances.min() > 10
    assert {(y > 99, x > 99) for y, x in np.argwhere(match)} == set(
        itertools.product((False, True), repeat=2)
    )


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8))
def test_numbered_discs_never_overlap_or_leave_the_photograph(
    points: list[tuple[int, int]],
) -> None:
    placed = apart(points, 40, (400, 400))
    assert len(placed) == len(points)
    assert all(20 <= x <= 380 and 20 <= y <= 380 for x, y in placed)
    assert all(
        (ax - bx) ** 2 + (ay - by) ** 2 >= 40**2
        for (ax, ay), (bx, by) in itertools.combinations(placed, 2)
    )


# Colours

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009), severity 1, linear RGB.
VISION = {
    "full": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colour: Colour, vision: str) -> np.ndarray:
    """The colour in OKLab (Ottosson, 2020), as a kind of colour vision sees it."""
    srgb = np.asarray(colour) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    ) @ np.clip(np.asarray(VISION[vision]) @ linear, 0, 1)
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.asarray(to_lab @ np.cbrt(cones))


def closest(colours: list[Colour], vision: str) -> float:
    lab = [seen(colour, vision) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(lab, 2))


@pytest.mark.parametrize("vision", VISION)
def test_the_first_colours_are_far_apart_for_every_colour_vision(vision: str) -> None:
    # OKLab distance: 0.02 is just noticeable side by side.
    first = [prototype_colour(index) for index in range(8)]
    assert closest(first[:3], vision) > 0.2
    assert closest(first[:5], vision) > 0.14
    assert closest(first, vision) > 0.07


def test_all_32_colours_differ_and_none_is_the_papers() -> None:
    colours = [prototype_colour(index) for index in range(32)]
    assert closest([*colours, PAPER, INK], "full") > 0.02
    assert prototype_colour(32) == prototype_colour(0)


@pytest.mark.parametrize("index", range(32))
def test_a_number_on_its_colour_has_enough_contrast(index: int) -> None:
    colour = prototype_colour(index)
    dark, light = sorted((luminance(colour), luminance(ink_on(colour))))
    assert (light + 0.05) / (dark + 0.05) >= 3.0  # WCAG 2 for large text and graphics


# Text


@given(st.text(max_size=80), st.integers(0, 600))
def test_fitted_text_never_overflows_and_is_whole_where_it_fits(text: str, width: int) -> None:
    line = LETTERS.printable(text)
    fitted = LETTERS.fit(line, width)
    assert LETTERS.width(fitted) <= width
    assert fitted == line if LETTERS.width(line) <= width else fitted != line
    assert fitted.removesuffix("…").rstrip() == line[: len(fitted.removesuffix("…"))].rstrip()


def test_what_is_written_stays_inside_its_measured_width() -> None:
    page = Image.new("RGB", (400, 60), PAPER)
    text = "−12.50 and Wq…"
    LETTERS.write(page, (20, 40), text, INK)
    columns = np.flatnonzero((pixels(page) != PAPER).any(axis=(0, 2)))
    # Ink may touch the advance box's ends by a pixel of smoothing.
    assert columns.min() >= 19
    assert columns.max() <= 20 + LETTERS.width(text) + 1


def test_text_ends_or_is_centred_where_it_was_told() -> None:
    for anchor, low, high in (("l", 200, 400), ("m", 100, 300), ("r", 0, 200)):
        page = Image.new("RGB", (400, 60), PAPER)
        LETTERS.write(page, (200, 40), "nnnnnn", INK, anchor)  # type: ignore[arg-type]
        columns = np.flatnonzero((pixels(page) != PAPER).any(axis=(0, 2)))
        assert low <= columns.min()
        assert columns.max() <= high


def test_the_minus_sign_is_as_wide_as_plus_and_at_its_height() -> None:
    assert LETTERS.width(MINUS + "1.20") == LETTERS.width("+1.20")
    signs = []
    for sign in ("+", MINUS):
        page = Image.new("L", (60, 60), 0).convert("RGB")
        LETTERS.write(page, (10, 40), sign, (255, 255, 255))
        signs.append(pixels(page)[..., 0])
    plus, minus = signs
    rows = np.flatnonzero(minus.any(axis=1))
    assert 0 < len(rows) < 6
    np.testing.assert_array_equal(minus[rows][:, :16], plus[rows][:, :16])  # left of the upright


def test_numbers_line_up_because_digits_are_equally_wide() -> None:
    assert len({LETTERS.width(digit) for digit in "0123456789"}) == 1


def test_characters_without_a_glyph_lose_their_accents_then_show_a_sign() -> None:
    assert LETTERS.printable("  élan\n vital ") == "elan vital"
    assert LETTERS.printable("Ｆin\u200d") == "Fin"
    assert LETTERS.printable("鳥 bird") == "鳥 bird"
    assert LETTERS.printable("青い鳥🐦") == LETTERS.printable("") == ""


def test_another_font_is_used_and_a_file_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = ImageFont.load_default(20)
    assert isinstance(embedded, ImageFont.FreeTypeFont)
    assert isinstance(embedded.path, io.BytesIO)
    file = tmp_path / "font.otf"
    file.write_bytes(embedded.path.getvalue())
    explanation = make_explanation(make_class())
    assert draw(explanation, font=file).size == draw(explanation).size

    monkeypatch.setattr(lettering_module, "_NEEDED", "0123456789+鳥")
    with pytest.raises(ArtifactError, match="lacks 鳥"):
        draw(explanation, font=file)
    file.write_bytes(b"no font")
    with pytest.raises(ArtifactError, match="expected a TrueType or OpenType font"):
        draw(explanation, font=file)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (3.456, 2, "+3.46"),
        (-3.456, 2, "−3.46"),
        (0.0, 2, "0.00"),
        (-0.001, 2, "0.00"),
        (0.001, 3, "+0.001"),
        (-2.5e30, 2, "−2.50e+30"),
    ],
)
def test_signed_numbers_read_as_in_print(value: float, decimals: int, text: str) -> None:
    assert signed(value, decimals) == text


@pytest.mark.parametrize(
    ("largest", "decimals"), [(0.0, 2), (123.0, 2), (4.4, 2), (0.44, 3), (0.0044, 5), (1e-30, 6)]
)
def test_small_contributions_get_the_decimals_they_need(largest: float, decimals: int) -> None:
    assert decimals_for(largest) == decimals


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0.0 %"),
        (1e-9, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.9994, "99.9 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_only_certainty_is_written_as_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text
