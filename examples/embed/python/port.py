"""What lies before and behind the graph, with NumPy and Pillow: copy it to where you need it.

picture -> make_view -> to_tensor -> (the runtime) -> explain -> overlay
"""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE, GAP, LINE = 224, 14, 20
HUES = (  # Okabe and Ito's, as serving/drawing/palette.py has them
    (213, 94, 0), (0, 114, 178), (227, 210, 0), (86, 180, 233), (136, 34, 85), (0, 158, 115),
    (204, 121, 167), (230, 159, 0),
)  # fmt: skip


class Artifact:
    """What a client needs of an artifact beside its graph: the manifest and the head's bias."""

    def __init__(self, folder: Path) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest["format"] != "protohead/1":
            raise ValueError(f"{folder}: expected protohead/1, got {self.manifest['format']}.")
        self.input = self.manifest["input"]
        content = (folder / "prototypes.safetensors").read_bytes()
        behind = 8 + struct.unpack("<Q", content[:8])[0]
        start, stop = json.loads(content[8:behind])["bias"]["data_offsets"]
        self.bias = np.frombuffer(content[behind + start : behind + stop], "<f4")  # (c,)

    def prepare(self, picture: Image.Image) -> tuple[Image.Image, np.ndarray]:
        """What the network sees of an upright RGB picture, and its input tensor.

        A batch of one picture, or as many times the same one as the graph takes.
        """
        how = self.input["preprocessing"]
        view = make_view(picture, how)
        pixels = np.asarray(view.convert("L") if how["channels"] == "L" else view)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if how["channels"] == "BGR":
            pixels = pixels[..., ::-1]
        std, mean = np.array(how["std"]), np.array(how["mean"])
        tensor = pixels * np.float32(how["scale"] / std) - np.float32(mean / std)
        tensor = np.moveaxis(tensor, -1, 0) if how["layout"] == "NCHW" else tensor
        batch = np.repeat(tensor[None], self.input["shape"][0] or 1, axis=0)
        return view, batch.astype(self.input["dtype"])

    def explain(self, outputs: dict[str, np.ndarray], size: tuple[int, int]) -> list[dict]:
        """The classes of the first picture of a batch, best first; peaks in (width, height)."""
        manifest = self.manifest
        logits = outputs[manifest["head"]["logits"]].reshape(-1)[: len(self.bias)].astype(float)
        odds = np.exp(logits - logits.max())
        softmax = manifest["activation"] == "softmax"
        likely = odds / odds.sum() if softmax else 0.5 + 0.5 * np.tanh(0.5 * logits)
        names = ("contributions", "common", "class_ids", "heatmaps", "unplaced", "rounding")
        prefix = manifest.get("prefix", "")  # where the classifier had one of these names itself
        found = {name: outputs.get(prefix + name) for name in names}
        classes = []
        for slot, index in enumerate(found["class_ids"][0].astype(int).tolist()):
            record = manifest["classes"][index]
            explained = {
                "id": index,
                "label": record["label"],
                "logit": logits[index],
                "probability": likely[index],
                "bias": float(self.bias[index]),
                "common": float(found["common"].flat[0]),
            }
            for name in ("unplaced", "rounding"):  # not every graph has them
                explained[name] = 0.0 if found[name] is None else float(found[name].flat[slot])
            explained["prototypes"] = [
                {
                    "name": prototype["name"],
                    "contribution": float(found["contributions"][0, slot, number]),
                    "peak": peak(found["heatmaps"][0, slot, number], size),
                    "heatmap": found["heatmaps"][0, slot, number],
                }
                for number, prototype in enumerate(record["prototypes"])
            ]
            classes.append(explained)
        return classes


def decode(path: Path) -> Image.Image:
    """An image file as an upright RGB picture of 8 bits."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def make_view(picture: Image.Image, how: dict) -> Image.Image:
    """Resize, then crop from the centre, black outside the picture."""
    width, height = picture.size
    if isinstance(how["resize"], list):
        height, width = how["resize"]
    elif how["resize"]:  # the short side; the long one is cut to an integer
        short = min(picture.size)
        width, height = (max(1, int(how["resize"] * side / short)) for side in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling[how["interpolation"].upper()])
    wanted = how["crop"] or how["resize"]
    down, across = wanted if isinstance(wanted, list) else (wanted, wanted)
    left, top = round((width - across) / 2), round((height - down) / 2)
    return picture.crop((left, top, left + across, top + down))


def peak(heatmap: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """The first largest pixel (x, y) of a heatmap upsampled bicubically to (width, height)."""
    rows, columns = (_kernel(*pair) for pair in zip(heatmap.shape, size[::-1], strict=True))
    y, x = divmod(int((rows @ heatmap @ columns.T).argmax()), size[0])
    return x, y


def _kernel(source: int, target: int) -> np.ndarray:
    """Keys' cubic convolution along an axis, a = -0.75, the border repeated: (target, source)."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    matrix = np.zeros((target, source))
    for place in range(-2, source + 2):  # a centre reaches two places to either side
        x = np.abs(centres - place)
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        matrix[:, min(max(place, 0), source - 1)] += np.where(x <= 1, near, np.where(x < 2, far, 0))
    return matrix.astype(np.float32)


def overlay(view: Image.Image, explained: dict) -> Image.Image:
    """The picture of an explanation: where each prototype looked, its name, how much it counted."""
    seen = ImageOps.contain(view, (TILE, TILE), Image.Resampling.BICUBIC)
    prototypes = explained["prototypes"]
    tiles = [(seen, "seen by the network")]
    for number, found in enumerate(prototypes):
        words = f"{number}: {found['name']}\n{found['contribution']:+.2f}"
        tiles.append((_tint(seen, found["heatmap"], HUES[number % len(HUES)]), words))
    columns = min(4, len(tiles))
    row = seen.height + 2 * LINE + GAP
    height = 4 * GAP + 2 * LINE + -(-len(tiles) // columns) * row
    page = Image.new("RGB", (GAP + columns * (TILE + GAP), height), (250, 249, 247))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    pen.text((GAP, GAP), f"{explained['label']}, {explained['probability']:.1%}", 0, font)
    for number, (tile, words) in enumerate(tiles):
        left = GAP + number % columns * (TILE + GAP)
        top = 2 * GAP + LINE + number // columns * row
        page.paste(tile, (left, top))
        pen.text((left, top + tile.height), words.replace("_", " "), 0, font)
    terms = [name for name in ("bias", "common", "unplaced", "rounding") if explained[name]]
    rest = "".join(f", {name} {explained[name]:+.2f}" for name in terms)
    words = f"contributions{rest}: logit {explained['logit']:+.2f}"
    pen.text((GAP, height - GAP - LINE), words, 0, font)
    return page


def _tint(picture: Image.Image, heatmap: np.ndarray, colour: tuple[int, int, int]) -> Image.Image:
    """A pale grey picture with a heatmap's positive part in one colour over it."""
    positive = np.maximum(heatmap, 0)
    grid = Image.fromarray((positive / (positive.max() or 1)).astype(np.float32))
    strength = np.asarray(grid.resize(picture.size, Image.Resampling.BICUBIC)).clip(0, 1)
    light = 125 + np.asarray(picture.convert("L"), dtype=float)[..., None] / 2
    alpha = 0.86 * strength[..., None]
    mixed = light * (1 - alpha) + np.array(colour) * (0.5 + light / 510) * alpha
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
