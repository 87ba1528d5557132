"""Records of a manifest, as small as they can be."""

from __future__ import annotations

from serving.artifact import DecomposedClass, PrototypeRecord, SolveRecord

_SOLVED = SolveRecord(iterations=1, objective=0.0, converged=True)


def decomposed(index: int, label: str, *names: str, images: int = 5) -> DecomposedClass:
    """A class that was split into prototypes of these names."""
    return DecomposedClass(
        index=index,
        label=label,
        images=images,
        residual_ratio=0.5,
        scale=(1.0,) * len(names),
        discovery=_SOLVED,
        scaling=_SOLVED,
        refinement=_SOLVED,
        prototypes=tuple(PrototypeRecord(name=name) for name in names),
    )
