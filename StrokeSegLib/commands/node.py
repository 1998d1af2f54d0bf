"""``strokeseg node``: studies in by DICOM, results out."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from StrokeSegLib.commands.exit_codes import USER_ERROR
from StrokeSegLib.errors import StrokeSegError


def add(commands) -> None:
    """Add the command to the parser's."""
    node = commands.add_parser("node", help="receive studies by DICOM, segment them and send the results on")
    node.add_argument(
        "action",
        nargs="?",
        choices=["run", "check"],
        default="run",
        help="run the node (default), or check configuration, destinations, disk, models and device",
    )
    node.add_argument("--config", type=Path, required=True, metavar="FILE.toml")
    node.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run a node until it is told to end, or check it; 2 if a check fails."""
    try:
        from StrokeSegLib.node.checking import checks
        from StrokeSegLib.node.configuration import read_configuration
        from StrokeSegLib.node.json_logs import log_as_json, silence_libraries
        from StrokeSegLib.node.service import serve
    except ImportError as error:
        raise StrokeSegError(
            f"The node needs {error.name}, which is not installed. Install it with: pip install 'strokeseg[node]'."
        ) from error

    silence_libraries()
    configuration = read_configuration(options.config)
    if options.action == "check":
        failed = 0
        for check in checks(configuration):
            sys.stdout.write(f"{'ok' if check.is_passed else 'FAILED':<7} {check.name}: {check.sentence}\n")
            failed += not check.is_passed
        return USER_ERROR if failed else 0
    log_as_json()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    serve(configuration, stopping)
    return 0
