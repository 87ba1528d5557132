"""The gates of an edited artifact: it is compared with the artifact before all its edits.

====================== =======================================================================
edits undo             taking every edit back gives each parent, manifest and files, by hash
edit records           each manifest is its parent's with the muting and the names on record
edit effects           measured again, they are what is on record; only on the very same images
edited logits          |edited - (unedited - muted contributions)| <= 1e-5 S
untouched classes      the logits of every class without a muted prototype, bit for bit
muted prototypes       their contributions and heatmaps are zero
====================== =======================================================================

S is the size of the summands of a logit before the edits (gates.summands).
Symbols: b images, c classes, t classes asked for, k prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.editing.effect import measure, read_images, sha256_of_images
from exporter.editing.files import restore, with_edit
from exporter.errors import DatasetError, EditError, ExporterError
from exporter.verification.gates import (
    COMPLETENESS,
    SUMMANDS,
    count_gate,
    limit_gate,
    summands,
    worst,
)
from serving.artifact import Artifact, GateRecord, Manifest
from serving.artifact.edits import EffectRecord
from serving.errors import ArtifactError
from serving.model.outputs import Outputs
from serving.model.predictor import Predictor

_SLICE = 100  # classes explained at once: their heatmaps stay small


@dataclass(frozen=True)
class Unedited:
    """What comes back of an edited artifact, and what the gates say of the way there.

    Attributes:
        artifacts: The edited artifact, the one before its last edit and so on to the one before
            all edits; empty if one does not come back.
        gates: The gates of undo and records.
    """

    artifacts: tuple[Artifact, ...]
    gates: tuple[GateRecord, ...]


def unedited(edited: Artifact, folder: Path) -> Unedited:
    """Take every edit back.

    Args:
        edited: An edited artifact.
        folder: An empty folder for what comes back.
    """
    total = len(edited.manifest.edits)
    artifacts, differing = [edited], 0
    for number in range(total, 0, -1):
        try:
            target = folder / str(number)
            target.mkdir()
            parent = restore(artifacts[-1], target)
        except (ExporterError, ArtifactError, OSError) as error:
            gate = GateRecord(name="edits undo", state="failed", detail=str(error))
            return Unedited((), (gate,))
        differing += not _on_record(artifacts[-1].manifest, parent.manifest)
        artifacts.append(parent)
    undo = count_gate("edits undo", 0, total, "edits taken back, byte for byte")
    records = count_gate("edit records", differing, total, "edits change what they record, no more")
    return Unedited(tuple(artifacts), (undo, records))


def _on_record(edited: Manifest, parent: Manifest) -> bool:
    """Whether a manifest is its parent's, but for what its last edit says."""
    apart = {"files", "verification", "graphs"}  # one that was converted has more graphs
    expected = with_edit(parent, edited.edits[-1])
    return edited.model_dump(exclude=apart) == expected.model_dump(exclude=apart)


class EffectComparison:
    """The effects on record, and what class folders show of the same edits now.

    Args:
        artifacts: The edited artifact and those before each of its edits, the last edit first.
        data: Class folders; an effect is measured again where they hold its very images.

    Attributes:
        images: Images that are run to measure again.
    """

    def __init__(self, artifacts: Sequence[Artifact], data: Path) -> None:
        manifest = artifacts[0].manifest
        steps = zip(reversed(manifest.edits), pairwise(artifacts), strict=True)
        self._recorded = [(edit.effect, pair) for edit, pair in steps if edit.effect]
        self._same: list[tuple[EffectRecord, tuple[Artifact, Artifact]]] = []
        self.images = 0
        with suppress(DatasetError, EditError):  # other folders than an effect is measured on
            self._dataset = read_images(data, manifest)
            found = sha256_of_images(self._dataset) if self._recorded else ""
            self._same = [step for step in self._recorded if step[0].sha256 == found]
            self.images = len(self._same) * self._dataset.image_count

    def gates(self, *, threads: int, progress: Callable[[int], None]) -> tuple[GateRecord, ...]:
        """Measure again; no gate where no effect is on record.

        Args:
            threads: Threads inside an operator; 0 takes all cores.
            progress: Called with the images done.
        """
        if not self._recorded:
            return ()
        if not self._same:
            names = ", ".join(sorted({effect.data for effect, _ in self._recorded}))
            detail = f"{len(self._recorded)} effects were measured on other images: {names}"
            return (GateRecord(name="edit effects", state="skipped", detail=detail),)
        differing = 0
        for number, (effect, (after, before)) in enumerate(self._same):
            found = measure(
                Predictor(before, threads=threads),
                Predictor(after, threads=threads),
                self._dataset,
                touched=tuple(entry.class_index for entry in effect.classes),
                progress=partial(_advance, progress, number),
            )
            # The folder may have another name by now.
            differing += found.model_copy(update={"data": effect.data}) != effect
        promise = "effects measured again are as on record"
        return (count_gate("edit effects", differing, len(self._same), promise),)


def _advance(progress: Callable[[int], None], effects: int, done: int, total: int) -> None:
    """Images of one effect done, after so many effects of the same images."""
    progress(effects * total + done)


class EditComparison:
    """What the edited and the unedited artifact answer on the same inputs, batch by batch.

    Args:
        edited: The edited artifact.
        before: The artifact before all its edits.
    """

    def __init__(self, edited: Predictor, before: Predictor) -> None:
        self.before = before
        self._edited = edited
        muted = edited.manifest.muted
        self._mask = edited.mask(muted).astype(np.float64)  # sums of many muted contributions
        self._touched = np.array(sorted({index for index, _ in muted}), dtype=np.int64)
        self._images = self._changed = self._differing = self._heard = 0
        self._error = 0.0

    def add(self, batch: NDArray[np.float32], edited: Outputs, before: Outputs) -> None:
        """Compare the answers to one batch."""
        self._images += len(batch)
        self._changed += int((edited.logits.argmax(1) != before.logits.argmax(1)).sum())
        others = np.delete(np.arange(edited.logits.shape[1]), self._touched)
        same = edited.logits[:, others].tobytes() == before.logits[:, others].tobytes()
        self._differing += 0 if same else len(batch)
        for start in range(0, len(self._touched), _SLICE):
            ids = self._touched[start : start + _SLICE]
            self._compare(batch, ids, edited.logits, before.logits)

    def _compare(
        self,
        batch: NDArray[np.float32],
        ids: NDArray[np.int64],
        edited: NDArray[np.float32],
        before: NDArray[np.float32],
    ) -> None:
        """Some of the classes that have a muted prototype."""
        asked = np.tile(ids, (len(batch), 1))
        gone = 1.0 - self._mask[ids]  # (t, k)
        plain = self.before.run(batch, classes=asked)
        expected = before[:, ids] - (plain.contributions * gone).sum(axis=2)
        error = np.abs(edited[:, ids] - expected) / summands(plain, self.before.bias)
        self._error = worst(self._error, float(error.max()))
        left = self._edited.run(batch, classes=asked)
        heard = (left.contributions * gone).any(axis=(1, 2))
        heard |= (left.heatmaps * gone[:, :, None, None]).any(axis=(1, 2, 3, 4))
        self._heard += int(heard.sum())

    def gates(self) -> list[GateRecord]:
        """The gates of the edit itself."""
        untouched = len(self._mask) - len(self._touched)
        muted = int((self._mask == 0).sum())
        return [
            limit_gate("edited logits", self._error, COMPLETENESS, SUMMANDS),
            count_gate(
                "untouched classes",
                self._differing,
                self._images,
                f"images bit-identical to the source in {untouched} classes",
            ),
            count_gate(
                "muted prototypes",
                self._heard,
                self._images,
                f"images with no contribution and no heat of {muted} muted prototypes",
            ),
        ]

    def agreement(self) -> GateRecord:
        """How often the best class is another: what the edit is for, so no gate to fail."""
        return GateRecord(
            name="top-1 agreement",
            state="passed",
            value=self._changed / self._images,
            detail=f"the edits change the best class of {self._changed} of {self._images} images",
        )
