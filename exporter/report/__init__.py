"""A report of an artifact: one page that shows what it explains, and how far to trust it.

observe  the held-out images, explained     measure    figures of one class
ground   where the peaks lie                 rules      what a person should look at twice
verdict  what stands at the top              rendering  the page, and the summary for CI

pipelines/report.py has the stages in order.
"""

from exporter.report.config import ReportConfig

__all__ = ["ReportConfig"]
