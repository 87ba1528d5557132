"""The command line: its verbs, and how it ends. Only it, the verbs and progress.py print.

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 an expected failure,
2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
from types import FrameType

import click

from exporter.commands import VERBS
from exporter.errors import ExporterError
from serving.errors import ArtifactError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="protohead")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what is done, on stderr.")
def cli(verbose: bool) -> None:
    """Make a trained image classifier say what it looked for, and where.

    Not one bit of its predictions changes.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr
    )


for _verb in VERBS:
    cli.add_command(_verb)

_OPTION = re.compile(r"`(\w+)`")
_FLAGS = {
    (option.name or ""): max(option.opts, key=len)
    for verb in VERBS
    for option in verb.params
    if isinstance(option, click.Option)
} | {"labels": "--labels", "preprocessing": "--preprocess"}


def main() -> None:
    """Run the command line; every expected failure becomes one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (ExporterError, ArtifactError) as error:
        click.echo(f"protohead: {in_flags(str(error))}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def in_flags(message: str) -> str:
    """A message of the library, which names options as ```out```, for those who type ``--out``."""
    return _OPTION.sub(lambda found: _FLAGS.get(found[1], found[0]), message)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C, so that the same message and the same clean-up follow."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
