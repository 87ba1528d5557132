"""What the manifests and the files of two artifacts say of their difference."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exporter.comparing.observe import ClassPair, Observed
from exporter.comparing.pairs import (
    LIMITS,
    correlations,
    cosines,
    overlaps,
    pair_classes,
    pair_parts,
)
from exporter.comparing.record import (
    STATES,
    Change,
    ClassChange,
    Difference,
    FileChange,
    MatchedBy,
    PartChange,
    PartRecord,
    Side,
)
from serving.artifact import MANIFEST, PROTOTYPES, Artifact, ClassRecord, Manifest, sha256_of

# Compared on their own, or no option.
_NO_OPTIONS = {"format", "source", "classes", "edits", "verification", "files", "graphs"}
_FACTS = ("label", "state", "images", "skipped", "accuracy", "placed")
Floats = NDArray[np.float32]


def class_pairs(old: Artifact, new: Artifact) -> list[ClassPair]:
    """Which class of the one is which of the other."""
    first, second = old.manifest, new.manifest
    same_source = _same_source(old, new)
    return list(pair_classes(first.labels, second.labels, same_source=same_source))


def compare(
    old: Artifact, new: Artifact, names: tuple[str, str], observed: Observed | None = None
) -> Difference:
    """What changed from one artifact to another, but on images; every class, changed or not.

    Args:
        old: The older artifact.
        new: The newer one.
        names: What people call the two.
        observed: Both on the same images, to tell which part is which where the heads differ.
    """
    first, second = old.manifest, new.manifest
    classes = tuple(_classes(old, new, observed))
    states = Counter(part.state for change in classes for part in change.parts)
    return Difference(
        old=_side(old, names[0]),
        new=_side(new, names[1]),
        same_source=_same_source(old, new),
        options=tuple(_changes(_options(first), _options(second))),
        edits_gained=_edits_without(second, first),
        edits_lost=_edits_without(first, second),
        gates=tuple(_changes(_gates(first), _gates(second))),
        files=tuple(_files(old, new)),
        matched_by=dict(Counter(c.matched_by for c in classes if c.matched_by is not None)),
        parts={state: states[state] for state in STATES},
        classes=classes,
    )


def _same_source(old: Artifact, new: Artifact) -> bool:
    return old.manifest.source.sha256 == new.manifest.source.sha256


def _side(artifact: Artifact, name: str) -> Side:
    manifest = artifact.manifest
    return Side(
        name=name,
        sha256=sha256_of(artifact.path(MANIFEST)),
        source=manifest.source.file,
        source_sha256=manifest.source.sha256,
        prototypes=manifest.prototypes,
        classes=len(manifest.classes),
    )


def _options(manifest: Manifest) -> dict[str, Any]:
    """What the manifest says beside what is compared on its own, by dotted names."""
    content = manifest.model_dump(mode="json", exclude=_NO_OPTIONS)
    if manifest.quantised is not None:
        content["quantised"] = manifest.quantised.to  # the rest is measured
    graphs = [graph.file for graph in manifest.graphs]
    return dict(_flat({**content, "graphs": graphs or None}))


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield before + name, value


def _gates(manifest: Manifest) -> dict[str, Any]:
    return {gate.name: gate.state for gate in manifest.verification}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name), new.get(name)
        if before != after:
            yield Change(name=name, old=before, new=after)


def _edits_without(manifest: Manifest, other: Manifest) -> tuple[str, ...]:
    known = [edit.model_dump() for edit in other.edits]
    return tuple(edit.reason for edit in manifest.edits if edit.model_dump() not in known)


def _files(old: Artifact, new: Artifact) -> Iterator[FileChange]:
    """Files by their names, those in a folder together."""
    first, second = (_hashes_and_sizes(artifact) for artifact in (old, new))
    for name in sorted(first.keys() | second.keys()):
        before, after = first.get(name), second.get(name)
        if before is None or after is None or before[0] != after[0]:
            yield FileChange(name=name, old=before and before[1], new=after and after[1])


def _hashes_and_sizes(artifact: Artifact) -> dict[str, tuple[dict[str, str], int]]:
    """Of each file, and of each folder by its name with a slash."""
    hashes: defaultdict[str, dict[str, str]] = defaultdict(dict)
    sizes: Counter[str] = Counter()
    files = {**artifact.manifest.files, MANIFEST: sha256_of(artifact.path(MANIFEST))}
    for name, digest in files.items():
        folder, slash, _ = name.partition("/")
        hashes[folder + slash][name] = digest
        sizes[folder + slash] += artifact.path(name).stat().st_size
    return {name: (found, sizes[name]) for name, found in hashes.items()}


def _classes(old: Artifact, new: Artifact, observed: Observed | None) -> Iterator[ClassChange]:
    ours, theirs = old.manifest, new.manifest
    same_head = _same_source(old, new) and ours.head.channels == theirs.head.channels
    vectors = (_prototypes(old), _prototypes(new)) if same_head else None
    for pair in class_pairs(old, new):
        before, after = pair
        first = None if before is None else ours.classes[before]
        second = None if after is None else theirs.classes[after]
        matched_by, likeness = _likeness(first, second, vectors, observed)
        yield ClassChange(
            label=next(record.label for record in (second, first) if record is not None),
            old=before,
            new=after,
            facts=() if first is None or second is None else tuple(_facts(first, second)),
            warnings_gained=_warnings_without(second, first),
            warnings_lost=_warnings_without(first, second),
            matched_by=matched_by,
            parts=tuple(
                PartChange(
                    state=found.state,
                    old=_part(ours, first, found.old),
                    new=_part(theirs, second, found.new),
                    likeness=None if found.likeness is None else round(found.likeness, 4),
                )
                for found in pair_parts(likeness, LIMITS[matched_by or "vectors"])
            ),
        )


def _prototypes(artifact: Artifact) -> Floats:
    return np.asarray(load_file(artifact.path(PROTOTYPES))["prototypes"])


def _facts(old: ClassRecord, new: ClassRecord) -> Iterator[Change]:
    for name in _FACTS:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Change(name=name, old=before, new=after)


def _warnings_without(record: ClassRecord | None, other: ClassRecord | None) -> tuple[str, ...]:
    if record is None or other is None:
        return ()
    return tuple(text for text in record.warnings if text not in other.warnings)


def _likeness(
    first: ClassRecord | None,
    second: ClassRecord | None,
    vectors: tuple[Floats, Floats] | None,
    observed: Observed | None,
) -> tuple[MatchedBy | None, NDArray[np.float64]]:
    """How alike the parts of a class are in both, (k, m), and what tells it; 0 of one alone."""
    ours, theirs = (() if record is None else record.prototypes for record in (first, second))
    if first is None or second is None:
        return None, np.zeros((len(ours), len(theirs)))
    if vectors is not None:
        rows = vectors[0][first.index, : len(ours)], vectors[1][second.index, : len(theirs)]
        return "vectors", cosines(*rows)
    seen = [] if observed is None else observed.of_class((first.index, second.index))
    if seen:
        both = [looked for _, looked in seen]
        return "heatmaps", correlations(
            *([side.heatmaps for side in s] for s in zip(*both, strict=True))
        )
    return "crops", overlaps(ours, theirs)


def _part(manifest: Manifest, record: ClassRecord | None, number: int | None) -> PartRecord | None:
    if record is None or number is None:
        return None
    prototype = record.prototypes[number]
    return PartRecord(
        number=number,
        name=prototype.name,
        muted=(record.index, number) in manifest.muted,
        crops=tuple(crop.file for crop in prototype.evidence),
    )
