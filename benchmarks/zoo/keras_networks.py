"""Architectures of keras.applications, as they are and with the heads that are put on them.

Images lie channels last and weights are random. Needs keras, tensorflow and tf2onnx, which are
imported where a network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.zoo.networks import Architecture

HEADS: dict[str, Callable[[Any], list[Any]]] = {
    "Dropout, Dense": lambda layers: [
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ],
    "one logit": lambda layers: [
        layers.GlobalAveragePooling2D(),
        layers.Dense(1, activation="sigmoid"),
    ],
    "GlobalMaxPooling": lambda layers: [
        layers.GlobalMaxPooling2D(),
        layers.Dense(10, activation="softmax"),
    ],
    "BatchNormalization, hidden": lambda layers: [
        layers.GlobalAveragePooling2D(),
        layers.BatchNormalization(),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ],
    "Flatten, hidden": lambda layers: [
        layers.Flatten(),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ],
}
"""What fine-tuning puts behind a body without its top."""


def _keras(name: str, size: int = 224, head: str = "") -> Architecture:
    def make() -> Any:
        import keras

        build = getattr(keras.applications, name)
        if not head:
            return build(weights=None)
        sides = (size, size, 3)
        body = build(weights=None, include_top=False, input_shape=sides)
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)
        return keras.Sequential([keras.Input(sides), scaled, body, *HEADS[head](keras.layers)])

    return Architecture(f"{name}, {head}" if head else name, "keras", make, size)


NETWORKS = [
    _keras("MobileNet"),
    _keras("MobileNetV2"),
    _keras("MobileNetV3Small"),
    _keras("MobileNetV3Large"),
    _keras("EfficientNetB0"),
    _keras("EfficientNetV2B0"),
    _keras("ResNet50"),
    _keras("ResNet50V2"),
    _keras("DenseNet121"),
    _keras("InceptionV3", 299),
    _keras("InceptionResNetV2", 299),
    _keras("Xception", 299),
    _keras("NASNetMobile"),
    _keras("ConvNeXtTiny"),
    _keras("VGG16"),
    *(_keras("MobileNetV2", head=head) for head in HEADS),
]
