"""The routes that describe the model: what it is, its classes, and what it looks for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from serving.answers.model_schema import (
    ClassesAnswer,
    ClassSummary,
    Edit,
    EditedPrototype,
    EditEffect,
    Limits,
    ModelAnswer,
    PrototypesAnswer,
    PrototypeSummary,
    ProviderState,
    Sample,
    SamplesAnswer,
)
from serving.answers.problems import ProblemError
from serving.answers.schema import EvidenceLink, PartDoubt
from serving.artifact import ClassRecord
from serving.artifact.edits import EditRecord
from serving.artifact.trust import doubted
from serving.errors import RequestError
from serving.model.preprocess import SERVED
from serving.process.live import Served
from serving.process.settings import Settings
from serving.web.host import Host

_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "Not changed since the ETag that was sent."},
}
_FOR_EVER = "max-age=31536000, immutable"


def router(host: Host) -> APIRouter:
    """The routes.

    Args:
        host: The running application.
    """
    routes = APIRouter(prefix="/v1", tags=["Model"])

    @routes.get("/model", operation_id="get_model")
    async def model() -> ModelAnswer:
        """The model that is served, how it was explained, and what a request may hold."""
        return _model(host.served, host.settings)

    @routes.get("/classes", operation_id="list_classes")
    async def classes() -> ClassesAnswer:
        """All classes, in the order of the logits."""
        served = host.served
        records = served.predictor.manifest.classes
        return ClassesAnswer(classes=[_class(served, record) for record in records])

    @routes.get("/classes/{id}/prototypes", operation_id="list_prototypes")
    async def prototypes(id: str, request: Request) -> PrototypesAnswer:  # noqa: A002 - the path's own word
        """What the model looks for in a class, in general.

        A class is a label, or digits that are none: its id, zeros before it allowed.
        """
        served = host.served
        return _prototypes(served, _class_id(served, id), request.state.prefix)

    @routes.get(
        "/evidence/{folder}/{file}",
        operation_id="get_evidence",
        response_class=Response,
        responses=_JPEG,
    )
    async def evidence(folder: str, file: str, request: Request, v: str = "") -> Response:
        """A training crop, or the whole image that it is of.

        With its version `v`, as answers link it, it may be kept for ever.
        """
        content, digest = await host.work(lambda: _crop(host.served, f"evidence/{folder}/{file}"))
        return _cached(request, content, digest, v, host.settings)

    @routes.get("/samples", operation_id="list_samples")
    async def samples(request: Request) -> SamplesAnswer:
        """Images to try: those of the artifact's golden batch, as the network sees them."""
        served = host.served
        height, width = served.predictor.manifest.input.preprocessing.size
        urls = [
            f"{request.state.prefix}/v1/samples/{number}.jpg?v={_digest(sample)[:12]}"
            for number, sample in enumerate(served.samples)
        ]
        return SamplesAnswer(samples=[Sample(url=url, width=width, height=height) for url in urls])

    @routes.get(
        "/samples/{file}", operation_id="get_sample", response_class=Response, responses=_JPEG
    )
    async def sample(file: str, request: Request, v: str = "") -> Response:
        """One of them."""
        content = _sample(host.served, file)
        return _cached(request, content, _digest(content), v, host.settings)

    return routes


def _class_id(served: Served, text: str) -> int:
    try:
        return served.predictor.class_id(text)
    except RequestError as error:
        raise ProblemError("unknown-path", str(error)) from error


def _model(served: Served, settings: Settings) -> ModelAnswer:
    manifest = served.predictor.manifest
    return ModelAnswer(
        name=served.name,
        sha256=manifest.source.sha256,
        artifact=served.sha256,
        k=manifest.prototypes,
        top=min(manifest.top, len(manifest.classes)),
        classes=len(manifest.classes),
        grid=manifest.head.grid,
        method=manifest.method,
        activation=manifest.activation,
        input=manifest.input,
        head=manifest.head,
        provider=provider(served),
        verification=list(manifest.verification),
        limits=Limits(
            max_body=settings.max_body,
            max_pixels=settings.max_pixels,
            max_images=settings.max_images,
            max_classes=settings.max_classes,
            formats=list(SERVED),
        ),
        samples=len(served.samples),
        edits=[_edit(record) for record in manifest.edits],
    )


def provider(served: Served) -> ProviderState:
    """Where the model runs, and whether that was to be expected."""
    return ProviderState(asked=served.asked, running=list(served.running), doubt=served.doubt)


def _edit(record: EditRecord) -> Edit:
    effect = record.effect
    return Edit(
        parent=record.parent,
        reason=record.reason,
        muted=[
            EditedPrototype(**{"class": key.class_index, "prototype": key.prototype})
            for key in record.muted
        ],
        effect=effect
        and EditEffect(
            data=effect.data,
            images=effect.images,
            accuracy_before=effect.accuracy_before,
            accuracy_after=effect.accuracy_after,
            corrected=effect.corrected,
            broken=effect.broken,
        ),
    )


def _class(served: Served, record: ClassRecord) -> ClassSummary:
    predictor = served.predictor
    return ClassSummary(
        id=record.index,
        label=record.label,
        state=record.state,
        images=record.images,
        accuracy=record.accuracy,
        residual_ratio=record.residual_ratio,
        distinct=record.distinct,
        doubts=doubted(predictor.manifest, predictor.doubts, record.index),
    )


def _prototypes(served: Served, index: int, prefix: str) -> PrototypesAnswer:
    manifest = served.predictor.manifest
    record, doubts = manifest.classes[index], served.predictor.doubts[index]
    reasons = {
        key.prototype: edit.reason
        for edit in manifest.edits
        for key in edit.muted
        if key.class_index == index
    }
    return PrototypesAnswer(
        id=index,
        label=record.label,
        state=record.state,
        distinct=record.distinct,
        warnings=list(record.warnings),
        prototypes=[
            PrototypeSummary(
                index=number,
                name=prototype.name,
                scale=record.scale[number] if number < len(record.scale) else None,
                muted=reasons.get(number),
                alike=list(prototype.alike),
                evidence=[EvidenceLink(**served.link(crop, prefix)) for crop in prototype.evidence],
                doubts=[PartDoubt(kind=doubt.kind, says=doubt.says) for doubt in doubts[number]],
            )
            for number, prototype in enumerate(record.prototypes)
        ],
    )


def _crop(served: Served, name: str) -> tuple[bytes, str]:
    """A listed crop and its hash; the folder may have been replaced under a running model."""
    digest = served.predictor.manifest.files.get(name)
    path: Path = served.predictor.artifact.path(name)
    try:
        content = path.read_bytes() if digest else b""
    except OSError:
        content = b""
    if digest is None or _digest(content) != digest:
        raise ProblemError("unknown-path", f"expected a crop of this model, got {name[:80]!r}.")
    return content, digest


def _sample(served: Served, file: str) -> bytes:
    number = file.removesuffix(".jpg")
    if number.isascii() and number.isdecimal() and len(number) < 6 and file.endswith(".jpg"):
        position = int(number)
        if position < len(served.samples):
            return served.samples[position]
    raise ProblemError(
        "unknown-path", f"expected a sample from 0.jpg to {len(served.samples) - 1}.jpg."
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _cached(
    request: Request, content: bytes, digest: str, version: str, settings: Settings
) -> Response:
    """A picture that clients may keep: for ever under its version, else after asking again."""
    fixed = bool(version)
    if fixed and version != digest[:12]:
        raise ProblemError(
            "unknown-path", "expected the version of a picture of this model; it has changed."
        )
    headers = {
        "ETag": f'"{digest}"',
        "Cache-Control": f"{'private' if settings.tokens else 'public'}, "
        + (_FOR_EVER if fixed else "no-cache"),
    }
    lines = ",".join(request.headers.getlist("if-none-match"))
    known = {tag.strip().removeprefix("W/") for tag in lines.split(",")}
    if known & {"*", headers["ETag"]}:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/jpeg")
