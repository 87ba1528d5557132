"""Grad-CAM, a baseline for where the evidence of a class lies.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017: with x (d, h, w) the last feature map and f the class's logit,

    a_d = mean over positions of df/dx_dj,      map = relu(sum_d a_d x_d)

For a linear head behind average pooling, f = sum_d v_d mean_j x_dj + b, the gradient is known: with
p = h w positions df/dx_dj = v_d / p everywhere, so a_d = v_d / p and the map is exactly

    relu(x . v) / p

the class activation map (Zhou et al., CVPR 2016) without its negative part; no gradient has to be
computed. Before the rectification its sum is f - b. Behind a LayerNormalization the gradient
differs from this by the norm's own.

Symbols: n images, d channels, h×w grid.
"""

from __future__ import annotations

import numpy as np

from serving.drawing.peaks import Floats


def grad_cam(features: Floats, row: Floats) -> Floats:
    """Grad-CAM's map of a class, for a linear head behind average pooling.

    Args:
        features: (n, d, h, w).
        row: v, (d,), the class's row of the head, without a reference.

    Returns:
        (n, h, w), nonnegative; all zeros where no position speaks for the class.
    """
    positions = features.shape[2] * features.shape[3]
    return np.asarray(np.maximum(np.einsum("ndhw,d->nhw", features, row), 0) / positions)
