"""A report of an artifact: one page that shows what it explains, and how far to trust it.

observe  the held-out images, explained     measure   figures of one class
ground   where the peaks lie                 rules     what a person should look at twice
verdict  what stands at the top              pictures  images inside the page
page     HTML                                markdown  the summary for CI
"""

from exporter.report.config import ReportConfig
from exporter.report.run import Report, make_report, write_page

__all__ = ["Report", "ReportConfig", "make_report", "write_page"]
