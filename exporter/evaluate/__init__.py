"""Measure explanations as the field does, beside the baselines; one metric a file.

annotations  where the parts of objects are         baselines  what the artifact is compared with
trial        the network, run once for all methods  metrics    what is asked of an explanation
arithmetic   what these compute with                measure    each metric of each method
results, over_classes  what was found               tables, figures  the same for people

pipelines/evaluate.py has the stages in order.
"""

from exporter.evaluate.config import EvaluationConfig
from exporter.evaluate.results import Evaluation, read_evaluation
from exporter.evaluate.tables import to_markdown

__all__ = ["Evaluation", "EvaluationConfig", "read_evaluation", "to_markdown"]
