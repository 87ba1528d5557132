"""Every metric, collected from the files that declare them.

A file of a group declares its metrics as ``METRICS``; nothing else lists them. They come in the
order of the groups, then of the files as the group's ``ORDER`` has it, then as declared. A file
that ``ORDER`` does not name comes after those, by its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType

from exporter.errors import DatasetError
from exporter.evaluate.metrics import pointing, robustness, sums, truth
from exporter.evaluate.trial.metric import Metric

GROUPS: tuple[ModuleType, ...] = (pointing, truth, sums, robustness)
"""The questions that metrics ask, a folder each."""


def group_metrics(group: ModuleType) -> tuple[Metric, ...]:
    """The metrics that the files of a group declare.

    Raises:
        ImportError: A file declares none.
    """
    return tuple(metric for module in _modules(group) for metric in _declared(module))


def by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by name, in their order.

    Raises:
        ImportError: Two have the same name or the same title.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        for other in found.values():
            if metric.name == other.name or metric.title == other.title:
                raise ImportError(
                    f"expected names and titles of one metric each, got {metric.name!r} "
                    f"({metric.title}) beside {other.name!r} ({other.title}). Rename one."
                )
        found[metric.name] = metric
    return found


def metric_named(name: str) -> Metric:
    """The metric of a name.

    Raises:
        DatasetError: There is none of that name, as in the record of another version.
    """
    if name not in _BY_NAME:
        raise DatasetError(
            f"expected a metric that this version knows, got {name!r}. It knows "
            f"{', '.join(_BY_NAME)}."
        )
    return _BY_NAME[name]


def _modules(group: ModuleType) -> Iterator[ModuleType]:
    first: tuple[str, ...] = group.ORDER
    others = sorted({found.name for found in pkgutil.iter_modules(group.__path__)} - set(first))
    for name in (*first, *others):
        yield importlib.import_module(f"{group.__name__}.{name}")


def _declared(module: ModuleType) -> tuple[Metric, ...]:
    declared: tuple[Metric, ...] = getattr(module, "METRICS", ())
    if not declared:
        raise ImportError(
            f"{module.__name__}: expected METRICS, a tuple of the metrics of this file, found "
            "none. Declare them, or move what is no metric out of the folder."
        )
    return declared


METRICS: tuple[Metric, ...] = tuple(metric for group in GROUPS for metric in group_metrics(group))
"""Every metric, in the order in which they are measured and read."""

_BY_NAME = by_name(METRICS)
