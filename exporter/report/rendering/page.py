"""The page: one HTML file that needs no script, asks for nothing and holds every image.

Labels, names, reasons and file names come from others and are text, never markup: the templates
escape everything, and the page's own policy lets only its own script run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import serving
from exporter.evaluate.results import Evaluation
from exporter.evaluate.tables import number
from exporter.report.baselines import BY_CONSTRUCTION, compare, question_of, undecided, worse_than
from exporter.report.contents import Contents
from exporter.report.examples import ClassReport
from exporter.report.rendering import comparison
from exporter.report.rendering.classes import section_of
from exporter.report.rendering.mistakes import RADIUS, SAID, case_of
from exporter.report.rules import BY_KIND, RULES, Finding
from exporter.report.verdict import Answer
from exporter.report.words import number_of, per_cent
from serving.artifact.classes import words
from serving.drawing.palette import Colour, luminance, prototype_colour

_TEMPLATES = Path(__file__).with_name("templates")
_FONT = Path(serving.__file__).with_name("page") / "aileron.ttf"
_COMMAND = re.compile(r"(protohead [a-z]+|--[a-z-]+|[a-z]+\.json)")
_SWATCHES = 32  # colours repeat from there on
_LEVELS = {"serious": "Serious", "look": "Worth a look", "note": "Good to know"}


def render(
    contents: Contents, *, progress: Callable[[str, int, int], None] = lambda _s, _d, _t: None
) -> tuple[bytes, int]:
    """Write the page.

    Args:
        contents: What it says.
        progress: Called as classes are drawn, with their images.

    Returns:
        The page, and the bytes that the classes with pictures take in it.

    Raises:
        ImageError: An image cannot be decoded any more.
    """
    environment = _environment()
    block = environment.get_template("class.html.j2")
    sections = []
    texts = []
    total = sum(len(c.examples) for c in contents.shown)
    done = 0
    for report in contents.shown:
        section = section_of(contents, report)
        # Only the finished text is kept: pictures of all classes at once would fill the memory.
        texts.append(Markup(block.render(section=section, **_words(contents))))  # noqa: S704
        sections.append((report, tuple((p.number, bool(p.crops)) for p in section.prototypes)))
        done += len(report.examples)
        progress("draw", done, total)
    script = _read("report.js")
    evaluation = contents.evaluation
    page = environment.get_template("report.html.j2").render(
        contents=contents,
        manifest=contents.artifact.manifest,
        levels=_LEVELS,
        rules=RULES,
        cases=[case_of(contents, c) for c in contents.confusions if c.contrast is not None],
        listed=[c for c in contents.confusions if c.contrast is None],
        comparisons=() if evaluation is None else compare(evaluation),
        undecided="" if evaluation is None else undecided(evaluation),
        groups=() if evaluation is None else _groups(evaluation, contents.answers),
        rows=() if evaluation is None else comparison.rows(evaluation),
        by_construction=BY_CONSTRUCTION,
        evaluation=evaluation,
        swatches=[_swatch(n) for n in range(min(_SWATCHES, contents.artifact.manifest.prototypes))],
        radius=RADIUS,
        sides=[_swatch(n) for n in SAID],
        shown={report.record.index: crops for report, crops in sections},
        blocks=texts,
        font=base64.b64encode(_FONT.read_bytes()).decode(),
        style=Markup(_read("report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_words(contents),
    )
    return page.encode(), sum(len(text.encode()) for text in texts)


def _groups(
    evaluation: Evaluation, answers: tuple[Answer, ...]
) -> list[tuple[Answer, list[comparison.Panel], tuple[tuple[str, tuple[str, ...]], ...]]]:
    """The metrics of each question, and those in which a baseline is better."""
    panels = comparison.panels(evaluation)
    return [
        (
            answer,
            [p for p in panels if question_of(p.metric.name) == answer.question],
            worse_than(compare(evaluation, answer.question)),
        )
        for answer in answers
    ]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["told"] = _told
    return environment


def _told(text: str) -> Markup:
    """A sentence whose commands and options stand out, and whose per cent signs stay in line."""
    safe = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(_COMMAND.sub(r"<code>\1</code>", safe))  # noqa: S704


def _words(contents: Contents) -> dict[str, object]:
    """The functions that the templates word things with."""
    labels = contents.artifact.manifest.labels
    return {
        "number": number,
        "number_of": number_of,
        "by_kind": BY_KIND,
        "labels": labels,
        "words": words,
        "per_cent": per_cent,
        "kinds": _kinds,
        "parts": _parts,
    }


def _kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str, int]]:
    """The rules that spoke of a class: key, title and how often."""
    return [
        (rule.kind, rule.title, count)
        for rule in RULES
        if (count := sum(f.kind == rule.kind for f in findings))
    ]


def _parts(report: ClassReport) -> list[tuple[int, float]]:
    """Number and width in per cent of each prototype's part in the bar of a class."""
    held_out = report.figures.held_out
    if held_out is None:
        return []
    positive = [max(0.0, float(share)) for share in held_out.shares]
    total = sum(positive)
    return [
        (number, round(100 * share / total, 1))
        for number, share in enumerate(positive)
        if total > 0 and share > 0
    ]


def _swatch(n: int) -> tuple[str, str]:
    """A part's colour, and the ink of a numeral on it, at 4.5 : 1 or more (WCAG 2, AA)."""
    colour = prototype_colour(n)
    white = 1.05 / (luminance(colour) + 0.05)
    return _hex(colour), "#fff" if white >= 4.5 else "#000"


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
