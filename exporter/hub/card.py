"""The card of a model: what it is, what it keeps, and what is known not to hold, as a README.

Markdown with the metadata of Hugging Face in front. Everything in it is read from the manifest,
and from an evaluation where there is one; labels, names and reasons are text of others, and stay
text. The same artifact gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from exporter.report.words import number_of, per_cent
from exporter.text import escaped
from serving.artifact import Artifact, ClassRecord, GateRecord, Manifest, Preprocessing

if TYPE_CHECKING:
    from exporter.evaluate.results import Evaluation

_PICTURED = 3  # classes
_CROPS = 3  # of a prototype
_LISTED = 200  # classes, and no page of a hub shows more in comfort
_PLACE = "ADDRESS"


@dataclass(frozen=True)
class CardOptions:
    """What a card says beside the artifact.

    Attributes:
        license: Of the model, as the hub names licences; None leaves it to whoever pushes.
        base_model: The model on the hub that was explained, ``owner/name``.
        evaluation: What ``protohead evaluate`` measured.
    """

    license: str | None = None
    base_model: str | None = None
    evaluation: Evaluation | None = None


def write_card(artifact: Artifact, options: CardOptions, *, address: str = _PLACE) -> str:
    """The card of an artifact.

    Args:
        artifact: The artifact.
        options: What it says beside.
        address: Where the artifact will live, for the commands.

    Returns:
        Markdown with metadata in front.
    """
    manifest = artifact.manifest
    parts = [
        _metadata(options),
        f"# {escaped(manifest.source.file)}, explained",
        _what(manifest),
        _use(manifest.input.preprocessing, address),
        _classes(manifest),
        _pictures(manifest),
        _gates(manifest.verification),
        _edits(manifest),
        _evaluation(options.evaluation),
        _limits(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(options: CardOptions) -> str:
    """The metadata; each value as JSON, which is YAML that nothing can leave."""
    lines = ["---", "pipeline_tag: image-classification", "library_name: protohead"]
    if options.license is not None:
        lines.append(f"license: {json.dumps(options.license)}")
    if options.base_model is not None:
        lines.append(f"base_model: {json.dumps(options.base_model)}")
    lines += ["tags:", "- onnx", "- explainability", "- interpretability", "- prototypes", "---"]
    return "\n".join(lines)


def _what(manifest: Manifest) -> str:
    source, head = manifest.source, manifest.head
    activation = "one class of many" if manifest.activation == "softmax" else "any of its classes"
    return (
        f"An image classifier of {number_of(len(manifest.classes), 'class', 'classes')} "
        f"({activation}) that also says what it looked for, and where. Each class row of its "
        f"linear head is split into {number_of(manifest.prototypes, 'part-prototype')} that sum to "
        "it. Its logits are those of the source, bit for bit; contributions and bias add up to "
        "each logit.\n\n"
        "| | |\n| --- | --- |\n"
        f"| source | {escaped(source.file)}, sha256 `{source.sha256}` |\n"
        f"| feature map | {head.channels} channels on {head.grid[0]} × {head.grid[1]} places |\n"
        f"| method | {manifest.method.name}, reference {manifest.method.reference}, up to "
        f"{manifest.method.max_images} images a class |\n"
        f"| input | {escaped(manifest.input.name)}, {manifest.input.dtype} |"
    )


def _use(preprocessing: Preprocessing, address: str) -> str:
    steps = []
    if preprocessing.resize is not None:
        steps.append(f"resize to {_size(preprocessing.resize)}, {preprocessing.interpolation}")
    if preprocessing.crop is not None:
        steps.append(f"crop {_size(preprocessing.crop)} from the centre")
    steps.append(f"{preprocessing.channels}, {preprocessing.layout}")
    steps.append(
        f"(pixel × {preprocessing.scale:.6g} - {_numbers(preprocessing.mean)}) / "
        f"{_numbers(preprocessing.std)}"
    )
    return (
        "## Use\n\n"
        f"```sh\nprotohead pull {address} --out model\nprotohead explain model PICTURE --out out\n"
        f"protohead serve model\n```\n\n"
        '```python\nfrom serving import Predictor\n\npredictor = Predictor("model")\n'
        'explanation = predictor.explain("picture.jpg")\n```\n\n'
        "`model.onnx` runs in any ONNX runtime; `manifest.json` says what its outputs are.\n\n"
        f"Preprocessing: {'; '.join(steps)}."
    )


def _size(value: int | tuple[int, int]) -> str:
    return f"{value[0]} × {value[1]}" if isinstance(value, tuple) else f"{value}"


def _numbers(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"


def _classes(manifest: Manifest) -> str:
    lines = [
        "## Classes",
        "",
        "Accuracy is the share of the class's own images of the export that are given to it.",
        "",
        "| class | prototypes | images | accuracy |",
        "| --- | --- | ---: | ---: |",
    ]
    for record in manifest.classes[:_LISTED]:
        names = ", ".join(
            escaped(prototype.name) + (" (muted)" if (record.index, n) in manifest.muted else "")
            for n, prototype in enumerate(record.prototypes)
        )
        whole = " (kept whole)" if record.state == "whole" else ""
        accuracy = "·" if record.accuracy is None else per_cent(record.accuracy)
        lines.append(f"| {escaped(record.label)} | {names}{whole} | {record.images} | {accuracy} |")
    left = len(manifest.classes) - _LISTED
    if left > 0:
        lines += ["", f"And {left} more in `manifest.json`."]
    return "\n".join(lines)


def _pictures(manifest: Manifest) -> str:
    shown = [r for r in manifest.classes if any(p.evidence for p in r.prototypes)][:_PICTURED]
    if not shown:
        return ""
    parts = ["## What it looks for", "Crops of training images in which a prototype is strongest."]
    for record in shown:
        head = f"| {escaped(record.label)} |{'  |' * _CROPS}"
        rule = f"| --- |{' --- |' * _CROPS}"
        rows = []
        for prototype in record.prototypes:
            cells = [f"![crop]({quote(crop.file)})" for crop in prototype.evidence[:_CROPS]]
            cells += [""] * (_CROPS - len(cells))
            rows.append(f"| {escaped(prototype.name)} | {' | '.join(cells)} |")
        parts.append("\n".join([head, rule, *rows]))
    return "\n\n".join(parts)


def _gates(gates: Sequence[GateRecord]) -> str:
    if not gates:
        return "## Gates\n\nIt was written without a verification."
    lines = ["## Gates", "", "Measured when it was exported or edited; `protohead verify` measures"]
    lines[-1] += " them again."
    lines += ["", "| gate | result | measured |", "| --- | --- | --- |"]
    for gate in gates:
        lines.append(f"| {escaped(gate.name)} | {gate.state} | {escaped(gate.detail)} |")
    return "\n".join(lines)


def _edits(manifest: Manifest) -> str:
    lines = []
    for number, edit in enumerate(manifest.edits, start=1):
        text = f"{number}. {escaped(edit.reason)}: {len(edit.muted)} muted, "
        text += f"{len(edit.renamed)} renamed"
        if edit.effect is not None:
            text += (
                f"; accuracy on {number_of(edit.effect.images, 'image')} "
                f"{edit.effect.accuracy_before:.2%} before, {edit.effect.accuracy_after:.2%} after"
            )
        lines.append(f"{text}.")
    return "\n".join(["## Edits", "", *lines]) if lines else ""


def _evaluation(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    methods = " | ".join(escaped(method) for method in evaluation.methods)
    lines = [
        "## Evaluation",
        "",
        f"On {number_of(evaluation.images, 'image')} of "
        f"{number_of(len(evaluation.classes), 'class', 'classes')}; the first column of figures is "
        "this artifact's, the others are those of other methods on the same model.",
        "",
        f"| metric | {methods} |",
        f"| --- |{' ---: |' * len(evaluation.methods)}",
    ]
    for metric in evaluation.metrics:
        arrow = "↑" if metric.better == "higher" else "↓"
        found = [evaluation.figures[method].get(metric.name) for method in evaluation.methods]
        cells = " | ".join("·" if figure is None else f"{figure.mean:.3g}" for figure in found)
        lines.append(f"| {escaped(metric.title)} {arrow} | {cells} |")
    lines += [f"- {escaped(note)}" for note in evaluation.notes]
    return "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    whole = [r for r in manifest.classes if r.state == "whole"]
    alike = [r for r in manifest.classes if r.distinct < len(r.prototypes)]
    warned = [r for r in manifest.classes if r.state == "decomposed" and r.warnings]
    lines = ["## What is known not to hold", ""]
    lines.append(
        "- A prototype shows what the model looked for in these images. It has no meaning of its "
        "own, and a name that somebody gave it proves none."
    )
    if whole:
        lines.append(f"- Kept whole, for too few images: {_named(whole)}. They have one prototype.")
    if alike:
        lines.append(f"- With prototypes that show the same thing in two places: {_named(alike)}.")
    if warned:
        first = f"{escaped(warned[0].label)}: {escaped(warned[0].warnings[0])}"
        lines.append(f"- With warnings in the manifest: {_named(warned)}. The first, {first}")
    if manifest.head.unplaced:
        lines.append("- A part of each logit comes from no place of the image, and has no heatmap.")
    if manifest.head.rounding:
        lines.append("- Its head is quantised: what rounding adds to a logit is a term of its own.")
    lines.append("- The card is covered by no hash and no signature; the manifest is.")
    return "\n".join(lines)


def _named(records: Sequence[ClassRecord]) -> str:
    names = ", ".join(escaped(record.label) for record in records[:5])
    left = len(records) - 5
    return f"{names} and {left} more" if left > 0 else names
