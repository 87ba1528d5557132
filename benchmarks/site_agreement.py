"""A static site in Chromium against `serving.Predictor`, on its samples and on pictures.

    protohead page ARTIFACT --out SITE
    python -m benchmarks.site_agreement ARTIFACT SITE PICTURES

Compared are the input tensors, bit by bit, and of every class logit, contributions and heatmaps,
each to the largest absolute value of its kind in the picture.
"""

import argparse
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from serving.model.predictor import Predictor

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
ASK = """async ([url, classes]) => {
  const [api, kit] = await Promise.all([import("/page/api.js"), import("/page/kit/index.js")]);
  const { input } = await api.model();
  const blob = await (await fetch(url)).blob();
  const file = new File([blob], url.split("/").at(-1));
  const view = kit.makeView(await kit.decode(file), input.preprocessing);
  const { data } = kit.toTensor(view, input);
  const started = performance.now();
  const { results: [{ classes: explained }] } = await api.explain(file, { classes });
  return {
    seconds: (performance.now() - started) / 1000,
    tensor: [...new Uint32Array(data.buffer)],
    logits: explained.map(({ logit }) => logit),
    contributions: explained.map((one) => one.prototypes.map((p) => p.contribution)),
    heatmaps: explained.map((one) => one.prototypes.map((p) => p.heatmap)),
  };
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of the site, and below /pictures/ those to explain."""

    def __init__(self, *arguments: object, pictures: Path, **named: object) -> None:
        self.pictures = pictures
        super().__init__(*arguments, **named)

    def translate_path(self, path: str) -> str:
        """Where a path of the address lies."""
        if path.startswith("/pictures/"):
            return str(self.pictures / path.removeprefix("/pictures/"))
        return super().translate_path(path)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def opened(site: Path, pictures: Path) -> Iterator[Page]:
    """The site in Chromium."""
    handler = functools.partial(_Quiet, directory=str(site), pictures=pictures)
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
        server.shutdown()


def apart(found: list, wanted: np.ndarray) -> float:
    """The largest difference over the largest value."""
    values = np.array(found, dtype=np.float32)
    return float(np.abs(values - wanted).max() / np.abs(wanted).max())


def compared(found: dict, predictor: Predictor, path: Path, ids: list[int]) -> list[float]:
    """Differing values of the tensor, and how far logits, contributions and heatmaps are apart."""
    _, tensor = predictor.preprocess(path)
    explained = predictor.explain(path, classes=ids).classes
    bits = np.array(found["tensor"], dtype=np.uint32)
    return [
        int((bits != tensor.reshape(-1).view(np.uint32)).sum()),
        apart(found["logits"], np.array([one.logit for one in explained])),
        apart(
            found["contributions"],
            np.array([[p.contribution for p in one.prototypes] for one in explained]),
        ),
        apart(
            found["heatmaps"], np.array([[p.heatmap for p in one.prototypes] for one in explained])
        ),
        int(np.argmax(found["logits"]) != np.argmax([one.logit for one in explained])),
    ]


def main() -> None:
    """Explain the pictures here and there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("site", type=Path)
    parser.add_argument("pictures", type=Path)
    asked = parser.parse_args()
    predictor = Predictor(asked.artifact, threads=1)
    ids = [record.index for record in predictor.manifest.classes if record.state != "whole"]
    groups = {"samples": asked.site / "v1" / "samples", "pictures": asked.pictures}
    for name, folder in groups.items():
        files = sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES)
        with opened(asked.site.resolve(), folder.resolve()) as page:
            answers = [
                page.evaluate(ASK, [f"/pictures/{path.relative_to(folder).as_posix()}", ids])
                for path in files
            ]
        pairs = zip(answers, files, strict=True)
        rows = np.array([compared(answer, predictor, path, ids) for answer, path in pairs])
        seconds = np.median([answer["seconds"] for answer in answers])
        print(
            f"{len(files)} {name}: values of tensors that differ {rows[:, 0].sum():.0f} of "
            f"{sum(len(answer['tensor']) for answer in answers)}, in {(rows[:, 0] > 0).sum()} "
            f"pictures; at most apart: logits {rows[:, 1].max():.1e}, contributions "
            f"{rows[:, 2].max():.1e}, heatmaps {rows[:, 3].max():.1e}; another best class "
            f"{rows[:, 4].sum():.0f}; median {seconds:.2f} s a picture"
        )


if __name__ == "__main__":
    main()
