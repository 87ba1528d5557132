"""What a notebook's cell shows: a picture, or a table. Elsewhere the machine shows the picture."""

from __future__ import annotations

import base64
import html
import io
import sys
from collections.abc import Mapping
from typing import Any

from PIL import Image


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this; IPython on a terminal is none."""
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def show(picture: Image.Image, said: str) -> None:
    """Show a picture to whoever runs this.

    Args:
        picture: The picture.
        said: What a screen reader says of it.
    """
    if in_notebook():
        display: Any = sys.modules["IPython"].display
        display.display(display.HTML(as_html(picture, said)))
    else:
        picture.show()


def table(rows: Mapping[str, object]) -> str:
    """Names and values as an HTML table; both any text."""
    left = 'style="text-align: left"'
    cells = (
        f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"


def as_html(picture: Image.Image, said: str) -> str:
    """A picture as an element that holds it, shown at half its size where there is room.

    Args:
        picture: RGB picture.
        said: What a screen reader says of it; any text.
    """
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=90)  # a third of a PNG; notebooks keep it
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<img src="data:image/webp;base64,{data}" alt="{html.escape(said)}" '
        f'width="{picture.width // 2}" style="max-width: 100%; height: auto">'
    )
