"""``strokeseg export`` and ``export-labels``: results in other formats."""

import argparse
import csv
import sys
from pathlib import Path

from StrokeSegLib.commands import progress
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.vocabulary.exports import DOCUMENTS, LAYOUTS


def add(commands) -> None:
    """Add both commands to the parser's."""
    labels = commands.add_parser("export-labels", help="add corrected cases to a training data set")
    labels.add_argument("--layout", dest="kind", choices=LAYOUTS, required=True)
    documents = commands.add_parser("export", help="export cases as DICOM, CSV, images or a report")
    documents.add_argument("--as", dest="kind", choices=DOCUMENTS, required=True)
    documents.add_argument(
        "--empty-patient", action="store_true", help="remove the patient's identity from DICOM objects"
    )
    for command in (labels, documents):
        command.add_argument(
            "cases", type=Path, nargs="+", metavar="CASE_DIR", help="output folder of a run, including any corrections"
        )
        command.add_argument("--output", type=Path, required=True, metavar="DIR")
        command.add_argument("--name", help="case name; default: a pseudonym computed from the scan's voxels")
        command.add_argument(
            "--source",
            type=Path,
            metavar="SCAN",
            help="the scan that was segmented; DICOM objects refer to this series",
        )
        command.add_argument(
            "--name-map",
            type=Path,
            metavar="FILE",
            help="also write a table of case folders and names; store it separately",
        )
        progress.add_quiet(command)
        command.set_defaults(command=run, empty_patient=False)


def run(options: argparse.Namespace) -> None:
    """Export each case; a failure is reported at once and does not stop the others."""
    from StrokeSegLib.documents.requests import Export
    from StrokeSegLib.exports.export import export

    if len(options.cases) > 1 and (options.name or options.source):
        raise StrokeSegError("--name and --source apply to a single case; pass exactly one case folder.")
    failed, named = 0, []
    for case in options.cases:
        try:
            asked = Export(case, options.kind, options.output, options.name, options.source, options.empty_patient)
            made = export(asked, progress.reporter(options.quiet))
        except StrokeSegError as error:
            if len(options.cases) == 1:
                raise
            sys.stderr.write(f"strokeseg: {case}: {error}\n")
            failed += 1
            continue
        named.append((case, made.name))
        for file in made.files:
            sys.stdout.write(f"{file}\n")
    if options.name_map is not None:
        with options.name_map.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([("folder", "case"), *named])
    if failed:
        raise StrokeSegError(f"{failed} of {len(options.cases)} cases could not be exported.")
