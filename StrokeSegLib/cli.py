"""The command line: arguments in, exit code out (0 done, 1 a bug, 2 something the user can change)."""

import argparse
import logging
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: Slicer --python-script StrokeSegLib/cli.py -- …
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import __version__
from StrokeSegLib.commands import batch, demo, export, models, node, perfusion, phantom, segment
from StrokeSegLib.commands.exit_codes import USER_ERROR
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.slicer_process import NO_DISPLAY, run_beside
from StrokeSegLib.threads import let_idle_threads_sleep

COMMANDS = (segment, batch, perfusion, export, node, demo, phantom, models)
"""In the order of the help; what they need they import when they run, so that the help is there at once."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    let_idle_threads_sleep()
    options = _parser().parse_args([one for one in arguments if one != "--"])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.command(options) or 0
    except StrokeSegError as error:
        sys.stderr.write(f"strokeseg: {error}\n")
        return USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("strokeseg: interrupted; nothing was written.\n")
        return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strokeseg",
        description="Acute ischaemic stroke on CT. For research use only; not a medical device.",
        epilog=f"Inside Slicer: Slicer --no-main-window --python-script StrokeSegLib/cli.py -- COMMAND …. {NO_DISPLAY}",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    slicer = sys.modules.get("slicer")
    if slicer is None:
        sys.exit(main())
    # Slicer goes on running after a script unless it is told to end.
    slicer.util.exit(run_beside(Path(__file__), sys.argv[1:]))
