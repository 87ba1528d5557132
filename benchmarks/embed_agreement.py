"""The kits against `serving.Predictor`, on photographs.

    python -m benchmarks.embed_agreement ARTIFACT PHOTOGRAPHS --count 50 --kits chromium node

Each photograph is cut and resized to a size of its own, and explained twice: as PNG, whose pixels
every decoder reads alike, and as JPEG, of which another decoder may make other pixels.
Contributions are compared to the largest logit of the photograph. `make embed` installs what the
kits need.
"""

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from serving.drawing.peaks import peak
from serving.model.explanation import Explanation
from serving.model.predictor import Predictor
from serving.model.preprocess import decode

EMBED = Path(__file__).parents[1] / "examples" / "embed"
EXPLAIN = """async ([file, raw]) => {
  const { decode, open } = await import(`${root}/explain.js`);
  const { numbersOf } = await import("@protohead/embed");
  globalThis.kit ??= await open(artifact);
  const picture = await decode(await bytes(file));
  const wanted = new Uint8Array(await (await bytes(raw)).arrayBuffer());
  let [pixels, most] = [0, 0];
  picture.data.forEach((value, i) => {
    if (value !== wanted[i]) pixels += 1;
    most = Math.max(most, Math.abs(value - wanted[i]));
  });
  return { pixels, most, classes: numbersOf((await globalThis.kit.answer(picture)).classes) };
}"""
# WebGPU on the processor, where there is no other.
SOFTWARE = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
)
PYTHON = ("onnxruntime", "openvino", "opencv", "reference")
Answer = Callable[[str, str], dict]
"""The kit's answer to a picture, by the names of its file and of that of its pixels."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def chromium(folder: Path, more: tuple[str, ...] = ()) -> Iterator[Answer]:
    """The kit in a page."""
    code = (
        "(names) => { const root = '/embed/browser', artifact = '/artifact';"
        "const bytes = async (name) => (await fetch(`/pictures/${name}`)).blob();"
        f"return ({EXPLAIN})(names); }}"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with served(folder) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *more])
        page = browser.new_page()
        page.goto(f"{site}/embed/browser/")
        yield lambda file, raw: page.evaluate(code, [file, raw])
        browser.close()


@contextmanager
def node(folder: Path) -> Iterator[Answer]:
    """The kit in a process of Node that answers a line with a line."""
    code = f"""
    import {{ readFile }} from "node:fs/promises";
    import {{ createInterface }} from "node:readline";
    const root = {json.dumps((EMBED / "node").as_uri())};
    const artifact = {json.dumps(str(folder / "artifact"))};
    const bytes = async (name) => {{
      const path = {json.dumps(str(folder / "pictures"))} + "/" + name;
      const content = await readFile(path);
      return name.endsWith(".raw") ? new Blob([content]) : content;
    }};
    const explain = {EXPLAIN};
    for await (const line of createInterface({{ input: process.stdin }})) {{
      console.log(JSON.stringify(await explain(JSON.parse(line))));
    }}"""
    command = ["node", "--input-type=module", "--eval", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=EMBED
    ) as process:

        def answer(file: str, raw: str) -> dict:
            process.stdin.write(json.dumps([file, raw]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield answer
        process.stdin.close()


@contextmanager
def python(folder: Path, runtime: str) -> Iterator[Answer]:
    """The kit of Python, a process for each picture; Pillow decodes it."""
    program = [sys.executable, str(EMBED / "python" / "explain.py"), "--runtime", runtime]

    def answer(file: str, _raw: str) -> dict:
        paths = [folder / "artifact", folder / "pictures" / file, folder / "overlay.png"]
        command = [*program, *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"pixels": 0, "most": 0, "classes": json.loads(done.stdout)}

    yield answer


KITS: dict[str, Callable[[Path], AbstractContextManager[Answer]]] = {
    "chromium": chromium,
    "webgpu": functools.partial(chromium, more=SOFTWARE),
    "node": node,
    **{name: functools.partial(python, runtime=name) for name in PYTHON},
}


def of_own_size(picture: Image.Image, number: int) -> Image.Image:
    """A photograph cut from somewhere, and made 0.4 to 4 times as large."""
    generator = np.random.default_rng(number)
    width, height = (int(side * generator.uniform(0.4, 1)) for side in picture.size)
    left = int(generator.integers(0, picture.width - width + 1))
    top = int(generator.integers(0, picture.height - height + 1))
    factor = 0.4 * 10 ** generator.random()
    size = int(width * factor), int(height * factor)
    box = (left, top, left + width, top + height)
    return picture.resize(size, Image.Resampling.LANCZOS, box)


def compared(found: dict, wanted: Explanation) -> tuple[bool, int, int, float]:
    """Whether the best class is the same, peaks that are elsewhere, all peaks, how far off."""
    scale = max(abs(one.logit) for one in wanted.classes)
    elsewhere, peaks, far = 0, 0, 0.0
    by_id = {one["id"]: one for one in found["classes"]}
    for one in wanted.classes:
        other = by_id.get(one.class_id)
        pairs = zip(one.prototypes, other["prototypes"] if other else (), strict=False)
        peaks += len(one.prototypes)
        elsewhere += 0 if other else len(one.prototypes)
        for mine, theirs in pairs:
            elsewhere += tuple(theirs["peak"]) != peak(mine.heatmap, wanted.view.size)
            far = max(far, abs(theirs["contribution"] - mine.contribution) / scale)
    same = found["classes"][0]["id"] == wanted.classes[0].class_id
    return same, elsewhere, peaks, far


def measure(
    name: str, answer: Answer, predictor: Predictor, folder: Path, files: list[str]
) -> None:
    """Print what a kit makes of some files."""
    rows, touched, most = [], 0, 0
    for file in files:
        found = answer(file, f"{file}.raw")
        rows.append(compared(found, predictor.explain(folder / "pictures" / file)))
        touched += found["pixels"] > 0
        most = max(most, found["most"])
    same, elsewhere, peaks, far = zip(*rows, strict=True)
    print(
        f"{name:11} {Path(files[0]).suffix:5} top-1 {sum(same)} of {len(rows)}, peaks "
        f"{sum(peaks) - sum(elsewhere)} of {sum(peaks)}, contributions off by {max(far):.1e} "
        f"(median {np.median(far):.1e}), pixels differ in {touched} files, by at most {most}"
    )


def main() -> None:
    """Explain the photographs everywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--kits", nargs="+", choices=KITS, default=["chromium", "node"])
    asked = parser.parse_args()
    every = sorted(p for p in asked.photographs.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    chosen = every[:: max(1, len(every) // asked.count)][: asked.count]
    predictor = Predictor(asked.artifact, threads=1)
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "pictures").mkdir()
        (folder / "embed").symlink_to(EMBED)
        (folder / "artifact").symlink_to(asked.artifact.resolve())
        sizes: list[tuple[int, int]] = []
        for number, path in enumerate(chosen):
            picture = of_own_size(decode(path), number)
            sizes.append(picture.size)
            for suffix in ("png", "jpg"):
                file = folder / "pictures" / f"{number}.{suffix}"
                picture.save(file, quality=90, progressive=number % 2 == 1)
                (folder / "pictures" / f"{file.name}.raw").write_bytes(decode(file).tobytes())
        print(f"{len(sizes)} photographs of {len(set(sizes))} sizes, {min(sizes)} to {max(sizes)}")
        for name in asked.kits:
            with KITS[name](folder) as answer:
                for suffix in ("png", "jpg"):
                    files = [f"{number}.{suffix}" for number in range(len(chosen))]
                    measure(name, answer, predictor, folder, files)


if __name__ == "__main__":
    main()
