"""Predictor and explanation as people hold them in Python: with a sentence, a picture and a table.

Those of ``model``, which the server runs, know neither pictures nor notebooks.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from serving.artifact.classes import words
from serving.drawing import picture, screen
from serving.drawing.sentence import ranked, sentence_of
from serving.errors import ImageError, RuntimeSetupError
from serving.model import explanation, predictor
from serving.model.class_key import ClassKey
from serving.model.pixels import ImageLike


class Explanation(explanation.Explanation):
    """The answer for one image; a notebook shows its picture.

    Example:
        >>> found = Predictor("artifact").explain("bird.jpg")  # doctest: +SKIP
        >>> found.sentence  # doctest: +SKIP
        'It says Horned Puffin (97.8 %), mostly for the bill (1) and face (2).'
        >>> found.save("bird-explained.png", top=1)  # doctest: +SKIP
    """

    @property
    def sentence(self) -> str:
        """What it says, how sure it is, and which parts speak for it."""
        return sentence_of(self)

    def draw(
        self, *, title: str = "", top: int = 3, rows: int = 6, font: Path | str | None = None
    ) -> Image.Image:
        """The picture: which parts were looked for, where, and how much each counted.

        Args:
            title: A line above it, for example the image's file name.
            top: Classes to draw, 1 or more.
            rows: Parts to draw for each class, 1 or more; the others are summed in one line.
            font: Font file for labels beyond basic Latin.

        Raises:
            ArtifactError: It cannot be drawn; see :func:`serving.drawing.picture.draw`.
        """
        found = None if font is None else Path(font)
        return picture.draw(self, title=title, top=top, rows=rows, font=found)

    def show(self, **options: Any) -> None:
        """Show the picture, in a notebook or in a window.

        Args:
            options: As of :meth:`draw`.
        """
        screen.show(self.draw(**options), self.sentence)

    def save(self, path: Path | str, **options: Any) -> None:
        """Write the picture into a file; its folder is made.

        Args:
            path: The file; its suffix says the format, such as ``.png`` or ``.jpg``.
            options: As of :meth:`draw`.

        Raises:
            ImageError: The file cannot be written, or its suffix is no format's.
        """
        path, drawn = Path(path), self.draw(**options)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            drawn.save(content, Image.registered_extensions()[path.suffix.lower()])
            path.write_bytes(content.getvalue())
        except (KeyError, ValueError) as error:
            raise ImageError(
                f"{path}: expected a suffix that says the format of a picture, such as .png, got "
                f"{path.suffix!r}."
            ) from error
        except OSError as error:
            raise ImageError(f"{path}: cannot write the picture: {error.strerror}.") from error

    def table(self) -> list[dict[str, Any]]:
        """What the logit of each explained class is the sum of, a row for each summand.

        Returns:
            Rows with ``label``, ``probability`` and ``logit`` of the class; ``part``, what is
            added; ``rank`` of a part in this picture, from 1, and its ``number`` in the artifact,
            None of what is no part; ``contribution``, logit units. Those of a class sum to its
            logit.
        """
        rows = []
        for found in self.classes:
            own = {"label": found.label, "probability": found.probability, "logit": found.logit}
            rows += [
                {**own, "part": part.fixed_name, "rank": rank, "number": part.index,
                 "contribution": part.contribution}
                for rank, part in enumerate(ranked(found), 1)
            ]  # fmt: skip
            for name in ("bias", "common", "unplaced", "rounding"):
                value = getattr(found, name)
                if value or name in ("bias", "common"):
                    rows.append(
                        {**own, "part": name, "rank": None, "number": None, "contribution": value}
                    )
        return rows

    def to_pandas(self) -> Any:
        """:meth:`table` as a ``pandas.DataFrame``.

        Raises:
            RuntimeSetupError: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise RuntimeSetupError(
                "expected pandas for a table of it, it is not installed. Run: pip install pandas; "
                "or take `table()`, which is a list."
            ) from error
        return pd.DataFrame(self.table()).astype({"rank": "Int64", "number": "Int64"})

    def __repr__(self) -> str:
        return f"<Explanation: {self.sentence}>" if self.classes else "<Explanation of no class>"

    def _repr_html_(self) -> str:
        return screen.as_html(self.draw(top=1), self.sentence)

    def _repr_png_(self) -> bytes:
        # Of half the size, for what cannot show HTML.
        content = io.BytesIO()
        self.draw(top=1).reduce(2).save(content, "PNG")
        return content.getvalue()


class Predictor(predictor.Predictor):
    """An artifact, ready to answer; a notebook shows what it is.

    Args:
        artifact: The artifact's folder, or one already loaded.
        provider: ``cpu``, ``cuda``, or ``auto``: CUDA where it works.
        threads: Threads inside an operator; 0 takes all cores.

    Raises:
        ArtifactError: The artifact cannot be read or run.

    Example:
        >>> Predictor("artifact").explain("bird.jpg").show()  # doctest: +SKIP
    """

    def explain(
        self,
        image: ImageLike,
        *,
        classes: ClassKey | Sequence[ClassKey] | None = None,
        mute: Iterable[tuple[ClassKey, int]] = (),
    ) -> Explanation:
        """Explain one image: which parts were looked for, where, and how much each counted.

        Args:
            image: An image, a path, the bytes of an image file, an array of pixels (h, w, 3) or
                (h, w) from 0 to 255 in uint8, or a torch tensor (3, h, w) of them.
            classes: Ids or labels of the classes to explain, or one of them; by default the best
                ones, as many as the artifact was exported with.
            mute: Pairs of class and prototype number to switch off; the logits answer as if
                they were not there.

        Raises:
            ImageError: Not an image, damaged, or too large.
            RequestError: An unknown class or prototype.
        """
        return Explanation(**vars(super().explain(image, classes=classes, mute=mute)))

    def explain_many(
        self,
        images: Iterable[ImageLike],
        *,
        classes: ClassKey | Sequence[ClassKey] | None = None,
        mute: Iterable[tuple[ClassKey, int]] = (),
    ) -> list[Explanation]:
        """Explain images one by one: each answer is that of :meth:`explain`, bit for bit.

        Args:
            images: Each as in :meth:`explain`; wrap them in ``tqdm`` to see how far it is.
            classes: As in :meth:`explain`, for every image.
            mute: As in :meth:`explain`, for every image.

        Raises:
            ImageError: One of them is not an image, damaged, or too large.
            RequestError: An unknown class or prototype.
        """
        muted = tuple(mute)
        return [self.explain(image, classes=classes, mute=muted) for image in images]

    def __repr__(self) -> str:
        return f"<Predictor of {str(self.artifact.folder)!r}: {self._counted}>"

    def _repr_html_(self) -> str:
        labels = ", ".join(words(label) for label in self.manifest.labels[:8])
        more = ", …" if len(self.manifest.labels) > 8 else ""
        rows: dict[str, object] = {
            "artifact": self.artifact.folder,
            "model": self.manifest.source.file,
            "answers": self._counted,
            "labels": labels + more,
            "runs on": ", ".join(self.providers),
        }
        return screen.table(rows)

    @property
    def _counted(self) -> str:
        split = sum(record.state == "decomposed" for record in self.manifest.classes)
        count, parts = len(self.manifest.classes), self.manifest.prototypes
        each = f"{parts} part{'' if parts == 1 else 's'} each"
        of_them = each if split == count else f"{split} of them split, {each}"
        return f"{count} class{'' if count == 1 else 'es'}, {of_them}"
