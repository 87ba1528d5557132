"""The verbs of the command line, one a file.

They import what they need when they run: the base install lacks the export extra, and ``--help``
should not wait for cvxpy.
"""

from exporter.commands.compare.diff import diff
from exporter.commands.derive.edit import edit
from exporter.commands.derive.quantize import quantize
from exporter.commands.evaluate import evaluate
from exporter.commands.explain import explain
from exporter.commands.export import export
from exporter.commands.hub.card import card
from exporter.commands.hub.pull import pull
from exporter.commands.hub.push import push
from exporter.commands.hub.sign import sign
from exporter.commands.inspect import inspect
from exporter.commands.report import report
from exporter.commands.serve import serve
from exporter.commands.targets.convert import convert
from exporter.commands.targets.package import package
from exporter.commands.targets.page import page
from exporter.commands.verify import verify

VERBS = (
    *(inspect, export, verify, explain, edit, quantize, convert, evaluate, report, diff, serve),
    *(package, page, push, pull, sign, card),
)

__all__ = ["VERBS"]
