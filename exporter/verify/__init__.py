"""An artifact held to every promise: run measures, gates judge, report tells.

``exporter.verify`` is a function, and this package has its name: importing the package puts it in
the function's place. So the package is called as the function is.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from serving.artifact import GateRecord


class _Verify(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> tuple[GateRecord, ...]:
        from exporter.verify.run import verify  # not above: it needs the export extra

        return verify(*arguments, **options)


sys.modules[__name__].__class__ = _Verify
