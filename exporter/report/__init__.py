"""A report of an artifact: one page that shows what it explains, and how far to trust it.

observe   the held-out images, explained    measure    figures of one class
ground    where the peaks lie                rules      what a person should look at twice
judge     the rules, asked of one class      mistakes   the confused pairs, and what spoke for them
verdict   three questions, answered          baselines  better or worse than others
rendering the page, and the summary for CI

pipelines/report.py has the stages in order.
"""

from exporter.report.config import ReportConfig

__all__ = ["ReportConfig"]
