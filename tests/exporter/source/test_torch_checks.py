"""Every way in which a torch model fails has its own line, and advice only where it fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import exporter
from exporter.errors import SourceError
from exporter.source.onnx_file import load_source
from exporter.source.torch_checks import check_agreement, first_run, warn_untrained
from exporter.source.torch_outputs import Logits

pytestmark = pytest.mark.usefixtures("torchlib_once")

SHAPE = (3, 16, 16)


class Tiny(nn.Module):
    """A classifier that a test changes."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Conv2d(3, 8, 3)
            self.head = nn.Linear(8, 4)

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.features(image)).mean((2, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.pooled(image))


class Autocast(Tiny):
    def forward(self, image):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(image)


class Halved(Tiny):
    def forward(self, image):
        return self.head(self.pooled(image).half())


class ToDouble(Tiny):
    def forward(self, image):
        return super().forward(image).double()


class Dropped(Tiny):
    def forward(self, image):
        return self.head(nn.functional.dropout(self.pooled(image)))


class OnGpu(Tiny):
    def forward(self, image):
        return super().forward(image.cuda())


class Fixed(Tiny):
    """Takes 32 x 32 alone."""

    def forward(self, image):
        return self.head(self.features(image).reshape(len(image), 8, 900).mean(2))


class NoSize(Tiny):
    """Takes a shape that nobody would guess."""

    def forward(self, image):
        return self.head(self.features(image).reshape(len(image), 8, 901).mean(2))


class Grey(Tiny):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 8, 3)


class Broken(Tiny):
    def forward(self, image):
        raise KeyError("class names")


class OverBatch(Tiny):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)
        )


class Ranked(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return logits - logits.mean(0)


class Transposed(Tiny):
    def forward(self, image):
        return super().forward(image).T


def tried(model: nn.Module) -> None:
    with torch.no_grad():
        first_run(Logits(model.eval(), None, "model").eval(), SHAPE, "model")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Autocast, "its logits are bfloat16, expected float32: .* under autocast"),
        (ToDouble, "its logits are float64, expected float32"),
        (Halved, "mixes types of numbers; expected float32 .* Take casts"),
        (Dropped, "two runs on the same images differ by .* dropout"),
        (OnGpu, "its code asks for CUDA .* The export runs on the CPU"),
        (Fixed, "It runs at 32 x 32: give `input_size` 32 32"),
        (NoSize, r"RuntimeError: shape .* Give `input_size` \(height, width\) if"),
        (Grey, "It runs on 1 channel: give `channels` 1"),
        (Broken, r"KeyError: 'class names'\.$"),
        (OverBatch, r"depend on the rest .* running statistics \(features\.1\) does that"),
        (Ranked, "depend on the rest of its batch: alone they differ by"),
        (Transposed, r"one row of logits for each image, got \(4, 2\) for two together"),
    ],
)
def test_a_model_that_fails_is_told_why(model, reason):
    with pytest.raises(SourceError, match=reason) as refusal:
        tried(model())
    said = str(refusal.value)
    assert "\n" not in said
    assert ("input_size" in said) == (model in (Fixed, NoSize))


def test_a_model_of_one_position_fails_alone_by_name():
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3, track_running_stats=False)
    )
    with pytest.raises(SourceError, match=r"fails on one alone: .* statistics \(2\) does that"):
        tried(model)


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (torch.float16, "weights in float16, computed in float32, which holds them exactly"),
        (torch.bfloat16, "weights in bfloat16, computed in float32, which holds them exactly"),
        (torch.float64, "weights in float64, computed in float32, which rounds them"),
    ],
)
def test_weights_of_another_type_are_computed_in_float32_and_it_is_said(dtype, said, caplog):
    source = load_source(Tiny().to(dtype), input_size=(16, 16))
    assert said in caplog.text
    found = source.model.graph.initializers["model.features.weight"].const_value.numpy()
    expected = Tiny().to(dtype).features.weight.detach().float().numpy()
    np.testing.assert_array_equal(found, expected)


class Branching(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return logits if logits.sum() > 0 else -logits


def test_the_whole_cause_of_a_failed_trace_is_told():
    with pytest.raises(SourceError, match="cannot trace it") as refusal:
        load_source(Branching(), input_size=(16, 16))
    said = str(refusal.value)
    assert "Could not guard on data-dependent expression" in said
    assert "return logits if logits.sum() > 0 else -logits" in said  # the line of the user's code
    assert "\n" not in said
    assert "TORCH_LOGS" not in said
    assert "input_size" not in said


class Session:
    """What answers instead of the exported graph."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def run(self, names, feeds):
        return [self.answer(torch.from_numpy(feeds["image"])).detach().numpy()]


def compared(model: nn.Module, answer) -> None:
    with torch.no_grad():
        check_agreement(Logits(model, None, "model").eval(), Session(answer), SHAPE, "model")


class Magnified(Tiny):
    """Logits that are a small difference of large numbers."""

    def forward(self, image):
        large = super().forward(image) + 1e4
        return large - 1e4


def test_mere_rounding_is_said_and_is_no_wrong_operator(caplog):
    model = Magnified().eval()

    def elsewhere(image):  # the same mathematics, rounded in another order
        return Tiny.forward(model, image)

    compared(model, elsewhere)
    assert "as far from exact arithmetic" in caplog.text
    assert "magnifies the rounding of float32" in caplog.text


def test_a_wrong_operator_is_no_rounding():
    model = Tiny().eval()
    with pytest.raises(SourceError, match="translates one of its operators wrongly"):
        compared(model, lambda image: model(image) * 1.001)


class OnlyFloat32(Tiny):
    def forward(self, image):
        assert image.dtype == torch.float32
        return super().forward(image)


def test_where_float64_cannot_tell_nothing_is_claimed():
    model = OnlyFloat32().eval()
    with pytest.raises(SourceError, match="cannot run in float64, which would tell") as refusal:
        compared(model, lambda image: model(image) * 1.001)
    assert "wrongly" not in str(refusal.value)


def test_a_model_that_agrees_is_silent(caplog):
    model = Tiny().eval()
    compared(model, lambda image: model(image) * (1 + 1e-6))
    assert not caplog.text


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Linear(32, 4))


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LayerNorm(8), nn.Linear(8, 4))


def warned(model: nn.Module, caplog) -> bool:
    caplog.clear()
    warn_untrained(model, "model")
    return "look freshly initialised" in caplog.text


@pytest.mark.parametrize("build", [plain, normed])
def test_a_fresh_network_is_noticed_and_one_step_of_training_ends_it(build, caplog):
    model = build()
    assert warned(model, caplog)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    assert not warned(model, caplog)


def test_a_fresh_head_on_a_trained_network_is_not_called_fresh(caplog):
    model = plain()
    nn.init.normal_(model[0].weight)
    assert not warned(model, caplog)


def test_statistics_of_images_are_training(caplog):
    model = normed()
    model[1].running_mean += 1
    assert not warned(model, caplog)


def test_other_initialisations_are_noticed_by_their_norms(caplog):
    model = normed()
    nn.init.trunc_normal_(model[0].weight, std=0.02)
    nn.init.zeros_(model[1].weight)  # what residual blocks begin with
    assert warned(model, caplog)


def test_a_fresh_network_is_said_on_the_whole_road(caplog):
    load_source(plain_classifier(), input_size=(16, 16))
    assert "look freshly initialised (every layer still holds the uniform" in caplog.text


def plain_classifier() -> nn.Module:
    return nn.Sequential(
        *list(plain())[:3], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)
    )


def test_a_feature_map_of_one_position_is_warned_of(caplog):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    report = exporter.inspect_model(model, input_size=(16, 16))
    assert report.grid == (1, 1)
    assert "its feature map has one position, so no heatmap can say where" in caplog.text
    assert dict(report.rows())["decomposable"].startswith("yes, but its feature map has one")
