"""A small input that costs much is a failure: mutated files and bodies, CPU and memory of each."""

import base64
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path

import costly
import pytest
from hostile import encoded, images, photo
from places import ROOT

from serving.protocols.oip_grpc import message

SMALL = 2**21  # bytes; a body may be ten times longer, and what it repeats be repeated as often
SECONDS = 0.3  # of CPU; 0.08 is the most that was seen, and 0.5 to 2 before there were limits
MEMORY = 96 * 2**20  # two pictures of the most pixels, as Pillow holds them, and their tensors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux measures peaks"),
]

IMAGES = [
    *images().values(),
    costly.scans(12),
    encoded(photo(64, 64), "PNG", compress_level=0),
    costly.gif_with(b"\x21\xfe\x01a\0"),
    costly.run_length_bmp(64, 64, b"\x01\x01" * 64),
]
GRPC = message("ModelInferRequest")(
    model_name="m",
    inputs=[{"name": "i", "datatype": "FP32", "shape": [1], "contents": {"fp32_contents": [1.0]}}],
    raw_input_contents=[b"abcd"],
    parameters={"binary_data_output": {"bool_param": True}},
)
BODIES = {
    "grpc": GRPC.SerializeToString(),
    "json": b'{"image": "aGk=", "mute": [{"class": "red", "prototype": 0}], "classes": [0, "a"]}',
    "kserve": b'{"instances": [{"image": {"b64": "aGk="}}, [[1, 2]]], "parameters": {"top": 1}}',
    "oip": b'{"inputs": [{"name": "i", "shape": [1], "datatype": "FP32", "data": [[1, 2]]}]}',
    "form": b'--x\r\nContent-Disposition: form-data; name="mute"\r\n\r\nred:0,red:1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nhi\r\n--x--\r\n',
}
EXTREMES = (0, 1, 0xFF, 0x7FFF, 0xFFFF, 40_000_000, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Repeat a slice, write an extreme number, cut, or change bytes; one to three times."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0 | 1:
                piece = bytes(data[at : at + chance.choice((1, 2, 3, 4, 8, 13, 64))])
                times = chance.choice((10, 1000, SMALL)) // max(1, len(piece))
                data[at:at] = piece * times
            case 2:
                size = chance.choice((2, 4))
                value = chance.choice(EXTREMES) % 256**size
                data[at : at + size] = value.to_bytes(size, chance.choice(("big", "little")))
            case 3:
                data[at : at + 1] = chance.randbytes(chance.choice((0, 1, 7)))
        del data[SMALL:]
    return with_right_sums(bytes(data))


def with_right_sums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold; anything else as it is."""
    at = 8
    data = bytearray(content)
    while content.startswith(b"\x89PNG") and at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + length
        data[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data[: max(len(content), 1)])


def costs(inputs):
    """The cost of each, measured in one process."""
    lines = [json.dumps([target, base64.b64encode(data).decode()]) for target, data in inputs]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "cost_meter.py"],
        input="\n".join(lines),
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def dear(inputs):
    """Those that cost more than they may, with what they cost."""
    found = costs(inputs)
    assert len(found) == len(inputs)
    return [
        (target, data[:60], len(data), seconds, memory)
        for (target, data), (seconds, memory, _) in zip(inputs, found, strict=True)
        if seconds > SECONDS or memory > MEMORY
    ]


def test_the_meter_sees_what_is_dear():
    (cheap, large) = costs([("image", IMAGES[0]), ("image", encoded(photo(2000, 2000), "PNG"))])
    assert cheap[0] < large[0]
    assert cheap[1] < 8 * 2**20 < 16 * 2**20 < large[1] < MEMORY  # four bytes a pixel


def test_known_costly_files_and_bodies_are_cheap():
    inputs = [("image", content) for content in costly.FILES.values()]
    inputs.append(("form", BODIES["form"][:-5] + b"y\r\n--x-" * (SMALL // 8)))
    assert dear(inputs) == []


@pytest.mark.parametrize("seed", range(4))
def test_mutated_images_are_cheap(seed):
    chance = random.Random(seed)
    assert dear([("image", mutated(chance.choice(IMAGES), chance)) for _ in range(750)]) == []


@pytest.mark.parametrize("target", BODIES)
def test_mutated_bodies_are_cheap(target):
    chance = random.Random(target)
    assert dear([(target, mutated(BODIES[target], chance)) for _ in range(750)]) == []
