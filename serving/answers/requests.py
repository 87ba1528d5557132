"""The JSON bodies of requests: images in base64 beside the options.

They are for the description of the API and for the clients made from it. intake.py takes the images
out of a body before it checks the options, so that an image is copied no more often than needed;
tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from serving.answers.schema import ContrastOptions, ExplainOptions, PredictOptions
from serving.model.preprocess import SERVED

Base64 = Annotated[
    str,
    Field(
        description=f"An image in base64: {', '.join(SERVED)}.",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]
# Not oneOf, of which the generators of clients make a model for each branch.
_IMAGE_OR_IMAGES: dict[str, Any] = {
    "if": {"required": ["image"]},
    "then": {"not": {"required": ["images"]}},
    "else": {"required": ["images"]},
}
_Image = Annotated[Base64 | None, Field(description="One image; or several as `images`.")]
_Images = Annotated[
    list[Base64] | None,
    Field(min_length=1, description="Several images, answered in their order; or one as `image`."),
]


class PredictRequest(PredictOptions):
    """Images, and the options of ``/v1/predict``."""

    model_config = ConfigDict(json_schema_extra=_IMAGE_OR_IMAGES)

    image: _Image = None
    images: _Images = None


class ExplainRequest(ExplainOptions):
    """Images, and the options of ``/v1/explain``."""

    model_config = ConfigDict(
        json_schema_extra={**_IMAGE_OR_IMAGES, "not": {"required": ["top", "classes"]}}
    )

    image: _Image = None
    images: _Images = None


class ContrastRequest(ContrastOptions):
    """An image, and the options of ``/v1/contrast``."""

    image: Base64
