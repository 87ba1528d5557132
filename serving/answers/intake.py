"""Request bodies: multipart, a bare image, or JSON with base64, to image bytes and options.

Everything here runs on bytes already in memory and below the body limit. No text is ever taken as
an address to fetch: a URL in place of an image is bytes that are no image.
"""

from __future__ import annotations

import binascii
import contextlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from serving.answers.problems import ProblemError, wrong_options
from serving.model.preprocess import SERVED, served_format

MAX_FIELDS = 1000
MAX_HEADER = 8192  # bytes of one part's headers
MAX_TEXT = 2**16  # characters of all options given as text
MAX_VALUES = 20_000  # commas and brackets in a JSON body, beside those of tensors

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_LISTS = ("classes", "mute")
Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True)
class Intake:
    """A parsed body.

    Attributes:
        images: The bytes of each image file.
        texts: Options as text, from a form or a query; a name may occur many times.
        values: Options as JSON values.
    """

    images: tuple[bytes, ...]
    texts: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def from_typed_client(self) -> Intake:
        """The body of BentoML's clients, which write each field of a form as JSON."""
        try:
            values = {name: orjson.loads(text) for name, text in self.texts}
        except orjson.JSONDecodeError as error:
            raise ProblemError("malformed", f"expected JSON in each field: {error}.") from error
        return Intake(self.images, (), values)


def read_intake(
    content_type: str, body: bytes, query: Iterable[tuple[str, str]], *, max_images: int
) -> Intake:
    """Parse a body as its content type says.

    Args:
        content_type: The header's value.
        body: The whole body.
        query: The query's parameters, options too.
        max_images: Images allowed.

    Returns:
        One image or more, and the options as they came.

    Raises:
        ProblemError: The body is malformed, of another type, or holds no or too many images.
    """
    kind, parameters = parse_options_header(content_type)
    texts = tuple(query)
    if kind == b"multipart/form-data":
        images, fields = _read_multipart(parameters.get(b"boundary", b""), body)
        intake = Intake(images, texts + fields)
    elif kind.startswith(b"image/") or kind == b"application/octet-stream":
        intake = Intake((body,) if body else (), texts)
    elif kind == b"application/json":
        intake = _read_json(body, texts)
    else:
        raise ProblemError(
            "media-type",
            "expected multipart/form-data, image/* or application/json, got "
            f"{content_type[:80] or 'no content type'!r}.",
        )
    if sum(len(text) for _, text in intake.texts) > MAX_TEXT:
        raise ProblemError("too-large", f"expected options of at most {MAX_TEXT} characters.")
    if not intake.images:
        raise ProblemError("options", "image: expected at least one image, got none.")
    if len(intake.images) > max_images:
        raise ProblemError(
            "too-large", f"expected at most {max_images} images, got {len(intake.images)}."
        )
    for image in intake.images:
        refuse_other_formats(image)
    return intake


def read_options(model: type[Options], intake: Intake, labels: Container[str]) -> Options:
    """Check the options of a request.

    Args:
        model: Their model.
        intake: The parsed body.
        labels: The labels of the served model: in text that is one of them no comma separates.

    Raises:
        ProblemError: An option is unknown or out of range.
    """
    values = dict(intake.values)
    for name, text in intake.texts:
        if name in _LISTS and name in model.model_fields:
            found = _mutes(text, labels) if name == "mute" else _class_keys(text, labels)
            values[name] = [*values.get(name, ()), *found]
        elif name in values and str(values[name]) != text:
            raise ProblemError("options", f"{name[:80]}: expected it once, got it twice.")
        else:
            values[name] = text
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise wrong_options(error) from error


def _class_keys(text: str, labels: Container[str]) -> list[str]:
    if text in labels or "," not in text:
        return [text]
    return [part.strip() for part in text.split(",")]


def _mutes(text: str, labels: Container[str]) -> list[dict[str, str]]:
    """``label:2``, or several separated by commas where the label holds none."""
    parts = text.split(",") if text.rpartition(":")[0] not in labels else [text]
    pairs = [part.strip().rpartition(":") for part in parts]
    return [{"class": key, "prototype": number} for key, _, number in pairs]


def refuse_other_formats(image: bytes) -> None:
    """Tell the format by its first bytes, before any decoder of another one is tried.

    Raises:
        ProblemError: Another format, or no image.
    """
    if served_format(image) is None:
        raise ProblemError(
            "media-type",
            f"image: expected {', '.join(SERVED)}, got {len(image)} bytes of something else.",
        )


def _read_json(body: bytes, texts: tuple[tuple[str, str], ...]) -> Intake:
    values = load_json(body)
    if not isinstance(values, dict):
        raise ProblemError("malformed", f"expected a JSON object, got {type(values).__name__}.")
    given = [name for name in ("image", "images") if name in values]
    if len(given) != 1:
        found = ", ".join(sorted(values)[:8])[:200] or "nothing"
        raise ProblemError(
            "options", f"expected one of image and images in the JSON object, found {found}."
        )
    images = values.pop(given[0])
    listed = images if isinstance(images, list) else [images]
    decoded = tuple(decode_base64(image, given[0]) for image in listed)
    return Intake(decoded, texts, values)


def load_json(body: bytes, *, numbers: int = 0) -> Any:
    """What a JSON body says, if it holds no more values than it can have use for.

    As objects they cost many times their bytes; an image in base64 is one of them.

    Args:
        body: The body.
        numbers: Elements of all tensors that it may hold as lists.

    Raises:
        ProblemError: Not JSON, or too many values.
    """
    most = MAX_VALUES + 3 * numbers  # each may stand in a list of its own
    if sum(map(body.count, (b",", b"[", b"{"))) > most:
        raise ProblemError("too-large", f"expected at most {most} values and lists as JSON.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError("malformed", f"expected JSON: {error}.") from error


def decode_base64(text: object, where: str) -> bytes:
    """The bytes of a base64 string.

    A data URL is taken for what it holds; line breaks, the alphabet of URLs and a missing end are
    taken as well.

    Raises:
        ProblemError: Not base64.
    """
    if not isinstance(text, str):
        raise ProblemError("options", f"{where}: expected base64 text, got {type(text).__name__}.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        with contextlib.suppress(binascii.Error):  # most clients write it so, and it is fast
            return binascii.a2b_base64(text, strict_mode=True)
        data = text.encode("ascii").translate(_URL_SAFE, delete=b" \t\r\n").rstrip(b"=")
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except ValueError as error:  # binascii.Error, and text outside ASCII
        raise ProblemError("options", f"{where}: expected base64 text: {error}.") from error


def _read_multipart(
    boundary: bytes, body: bytes
) -> tuple[tuple[bytes, ...], tuple[tuple[str, str], ...]]:
    if not boundary:
        raise ProblemError("malformed", "expected a boundary in the content type, got none.")
    # The parser looks at each in Python, also at those that go on otherwise and end no part.
    if body.count(b"\r\n--" + boundary) > MAX_FIELDS:
        raise ProblemError("malformed", f"expected at most {MAX_FIELDS} parts.")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
        if not parts.ended:
            raise ProblemError("malformed", "expected the closing boundary, the body ends early.")
        fields = [(name.decode(), value) for name, value in parts.found]
        images = tuple(value for name, value in fields if name == "image")
        texts = tuple((name, _as_text(name, value)) for name, value in fields if name != "image")
    except (FormParserError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise ProblemError("malformed", f"expected multipart/form-data: {error}.") from error
    return images, texts


def _as_text(name: str, value: bytes) -> str:
    if served_format(value):
        raise ProblemError(
            "options",
            f"expected image files in the field 'image', found one in {name[:80]!r}.",
        )
    return value.decode()


class _Parts:
    """Collects the parts that the parser finds: name and bytes of each."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.ended = False
        self._start()

    def _start(self) -> None:
        self._name: bytes | None = None
        self._header, self._value, self._data = b"", b"", bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._start,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_data,
            "on_part_end": self._on_end,
            "on_end": self._on_close,
        }

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._refuse_long()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._refuse_long()

    def _refuse_long(self) -> None:
        if len(self._header) + len(self._value) > MAX_HEADER:
            raise ProblemError("malformed", f"expected part headers below {MAX_HEADER} bytes.")

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name")
        self._header, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]

    def _on_end(self) -> None:
        if self._name is None:
            raise ProblemError("malformed", "expected a name in every part, one has none.")
        if len(self.found) == MAX_FIELDS:
            raise ProblemError("malformed", f"expected at most {MAX_FIELDS} parts.")
        self.found.append((self._name, bytes(self._data)))

    def _on_close(self) -> None:
        self.ended = True
