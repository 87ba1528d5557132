"""Measure explanations as the field does, beside the baselines; one metric a file.

localization  where a heatmap points          trial    the network, run once for all methods
methods       what is compared                measure  every metric of one class
catalog       what each metric says           run      the stages
"""

from exporter.evaluate.config import EvaluationConfig
from exporter.evaluate.results import Evaluation, read_evaluation
from exporter.evaluate.run import evaluate, write_evaluation
from exporter.evaluate.tables import to_markdown

__all__ = [
    "Evaluation",
    "EvaluationConfig",
    "evaluate",
    "read_evaluation",
    "to_markdown",
    "write_evaluation",
]
