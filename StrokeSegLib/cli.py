"""The command line: arguments in, exit code out (0 done, 1 a bug, 2 something the user can change)."""

import argparse
import csv
import json
import logging
import signal
import sys
import threading
from pathlib import Path

if __name__ == "__main__":  # run as a file: Slicer --python-script StrokeSegLib/cli.py -- …
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import __version__
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.slicer_process import NO_DISPLAY, run_beside
from StrokeSegLib.vocabulary.exports import DOCUMENTS, LAYOUTS

BUG, USER_ERROR = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args([one for one in arguments if one != "--"])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.command(options) or 0
    except StrokeSegError as error:
        sys.stderr.write(f"strokeseg: {error}\n")
        return USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("strokeseg: stopped; nothing was written.\n")
        return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strokeseg",
        description="Acute ischaemic stroke on CT. For research use only; not a medical device.",
        epilog=f"Inside Slicer: Slicer --no-main-window --python-script StrokeSegLib/cli.py -- COMMAND …. {NO_DISPLAY}",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    segment = commands.add_parser("segment", help="segment one scan")
    _add_input(segment)
    _add_run(segment)
    segment.add_argument(
        "--map", dest="maps", action="append", default=[], metavar="NAME=FILE", help="cbf, cbv, mtt or tmax, of a CT"
    )
    segment.add_argument("--age", type=float, metavar="YEARS", help="for the trials' criteria, as the next three")
    segment.add_argument("--nihss", type=int, metavar="POINTS")
    segment.add_argument("--hours", type=float, metavar="H", help="since the patient was last known well")
    segment.add_argument("--aspects", type=int, metavar="POINTS")
    segment.set_defaults(command=_segment)

    batch = commands.add_parser("batch", help="segment all studies of a folder or of a table")
    batch.add_argument(
        "source", type=Path, metavar="FOLDER|MANIFEST.csv", help="a table has the column input, and others at will"
    )
    batch.add_argument("--output", type=Path, required=True, metavar="DIR")
    place = batch.add_mutually_exclusive_group()
    place.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this machine")
    place.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, whose workers then run the cases")
    batch.add_argument("--resume", action="store_true", help="go on with what lies in the output folder")
    _add_run(batch)
    batch.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    batch.add_argument("--quiet", action="store_true", help="no progress on stderr")
    batch.set_defaults(command=_batch)

    perfusion = commands.add_parser("perfusion", help="make the maps of a CT perfusion series, without segmenting")
    _add_input(perfusion)
    perfusion.set_defaults(command=_perfusion)

    _add_exports(commands)

    node = commands.add_parser("node", help="receive studies by DICOM, segment them and send the results on")
    node.add_argument(
        "action",
        nargs="?",
        choices=["run", "check"],
        default="run",
        help="run the node (default), or check configuration, destinations, disk, models and device",
    )
    node.add_argument("--config", type=Path, required=True, metavar="FILE.toml")
    node.set_defaults(command=_node)

    demo = commands.add_parser("demo", help="make a synthetic patient and segment it")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR")
    demo.set_defaults(command=_demo)

    phantom = commands.add_parser("phantom", help="make a synthetic patient with known truth")
    phantom.add_argument("--output", type=Path, required=True, metavar="DIR")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--kind", choices=["ncct", "ctp"], default="ncct", help="non-contrast CT or CT perfusion")
    phantom.add_argument("--format", choices=["dicom", "nifti", "nrrd", "cpaisd"], default="dicom")
    phantom.add_argument("--studies", type=int, default=20, metavar="N", help="with --format cpaisd: how many patients")
    phantom.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="in mm; 0.45 0.45 5 by default, 0.9 0.9 5 for perfusion",
    )
    phantom.add_argument("--tilt", type=float, default=0.0, metavar="DEG")
    phantom.add_argument(
        "--lesion", default="random", help="random, any, none, or a mechanism such as m1, m2, aca, pca, lacunar"
    )
    phantom.add_argument("--side", choices=["left", "right", "random"], default="random")
    phantom.add_argument("--motion", choices=["still", "mild", "broken"], default="still", help="with --kind ctp")
    phantom.add_argument("--sampling", choices=["uniform", "shuttle"], default="uniform", help="with --kind ctp")
    phantom.set_defaults(command=_phantom)

    _add_models(commands.add_parser("models", help="list, show, verify, install and import model bundles"))
    return parser


def _add_input(command: argparse.ArgumentParser) -> None:
    command.add_argument("input", type=Path, help="DICOM folder or file, NIfTI or NRRD file")
    command.add_argument("--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    command.add_argument(
        "--times", type=Path, metavar="FILE", help="seconds of the frames of a perfusion series, in a text file"
    )
    command.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _add_run(command: argparse.ArgumentParser) -> None:
    """How scans are run, one or many."""
    command.add_argument(
        "--method", dest="methods", action="append", default=[], metavar="ID", help="by default what the input allows"
    )
    command.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="BUNDLE",
        help="name or path; without it each method takes its default, see “models list”",
    )
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    command.add_argument(
        "--side", choices=["auto", "left", "right"], default="auto", help="report one hemisphere alone"
    )
    command.add_argument(
        "--unit", dest="units", action="append", default=[], metavar="NAME=UNIT", help="of a map, as tmax=ms"
    )
    command.add_argument("--save-probabilities", action="store_true")
    command.add_argument("--save-scan", action="store_true", help="write the scan without its header, for exports")


def _add_exports(commands) -> None:
    labels = commands.add_parser("export-labels", help="add corrected cases to a data set for training")
    labels.add_argument("--layout", dest="kind", choices=LAYOUTS, required=True)
    documents = commands.add_parser("export", help="write cases as DICOM, a table, pictures or a report")
    documents.add_argument("--as", dest="kind", choices=DOCUMENTS, required=True)
    documents.add_argument("--empty-patient", action="store_true", help="leave the patient out of DICOM objects")
    for command in (labels, documents):
        command.add_argument("cases", type=Path, nargs="+", metavar="CASE_DIR", help="output of a run, as corrected")
        command.add_argument("--output", type=Path, required=True, metavar="DIR")
        command.add_argument("--name", help="of the case; by default a pseudonym made of the scan's voxels")
        command.add_argument(
            "--source", type=Path, metavar="SCAN", help="what was segmented; DICOM objects refer to this series"
        )
        command.add_argument(
            "--name-map", type=Path, metavar="FILE", help="also write which case folder has which name; keep it apart"
        )
        command.add_argument("--quiet", action="store_true", help="no progress on stderr")
        command.set_defaults(command=_export, empty_patient=False)


def _add_models(models: argparse.ArgumentParser) -> None:
    actions = models.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="the bundles that are shipped or installed").set_defaults(command=_models_list)
    show = actions.add_parser("show", help="what a bundle says of itself")
    show.add_argument("name")
    show.set_defaults(command=_models_show)
    default = actions.add_parser("default", help="let a method run with this model where none is named")
    default.add_argument("name", metavar="NAME")
    default.set_defaults(command=_models_default)
    verify = actions.add_parser("verify", help="check a bundle's files, hashes and network")
    verify.add_argument("bundle", type=Path)
    verify.set_defaults(command=_models_verify)
    install = actions.add_parser("install", help="install a bundle from a folder, a zip file or a URL")
    install.add_argument("source", metavar="FILE|URL")
    install.add_argument("--sha256", help="of the file; needed for a URL")
    install.set_defaults(command=_models_install)
    imported = actions.add_parser("import", help="make a bundle of a published checkpoint")
    imported.add_argument("checkpoint", type=Path)
    imported.add_argument("--method", required=True, metavar="ID")
    imported.add_argument("--output", type=Path, required=True, metavar="BUNDLE")
    imported.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    imported.set_defaults(command=_models_import)


def _segment(options: argparse.Namespace) -> None:
    from StrokeSegLib.case import Case
    from StrokeSegLib.measures.trial_criteria import ClinicalInputs

    _segmented(
        Case(
            input=options.input,
            output=options.output,
            methods=tuple(options.methods),
            models=tuple(options.models),
            device=options.device,
            side=options.side,
            settings=tuple(options.settings),
            save_probabilities=options.save_probabilities,
            save_scan=options.save_scan,
            maps={name: Path(file) for name, file in _by_name(options.maps, "--map").items()},
            units=_by_name(options.units, "--unit"),
            times_s=_times(options.times),
            clinical=ClinicalInputs(options.age, options.nihss, options.hours, options.aspects),
        ),
        quiet=options.quiet,
    )


def _segmented(case, quiet: bool) -> None:
    """Run a case with progress on stderr and its volumes and report on stdout."""
    from StrokeSegLib.case import segment_case
    from StrokeSegLib.measures.rows import rows_of
    from StrokeSegLib.reports.text import printed

    findings = segment_case(case, _silence if quiet else _show_progress)
    for warning in findings.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    for line in printed(rows_of(findings)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"report       {case.output / 'report.html'}\n")


def _batch(options: argparse.Namespace) -> int:
    """Run a batch; 1 if a case met a bug, 2 if one failed for another reason."""
    from StrokeSegLib import batch
    from StrokeSegLib.case import Case

    if options.workers < 1:
        raise StrokeSegError("A batch needs at least one worker; give --workers 1 or more.")
    usual = Case(
        input=options.source,
        output=options.output,
        methods=tuple(options.methods),
        models=tuple(str(Path(model).absolute()) if Path(model).exists() else model for model in options.models),
        device=options.device,
        side=options.side,
        settings=tuple(options.settings),
        save_probabilities=options.save_probabilities,
        save_scan=options.save_scan,
        units=_by_name(options.units, "--unit"),
    )
    if options.scheduler:
        place = batch.on_dask(options.scheduler, options.output)
    else:
        place = batch.on_this_machine(options.workers)
    result = batch.run_batch(
        batch.studies_in(options.source, usual),
        options.output,
        usual,
        place,
        options.resume,
        (lambda progress: None) if options.quiet else _show_batch_progress,
    )
    for name, sentence in result.failures.items():
        sys.stdout.write(f"{name}: {sentence}\n")
    done = result.counts[batch.Status.DONE]
    sys.stdout.write(f"{done} cases done, {len(result.failures)} failed\n")
    sys.stdout.write(f"summary      {options.output / batch.SUMMARY_FILE}\n")
    if result.counts[batch.Status.BUG]:
        return BUG
    return USER_ERROR if result.failures else 0


def _node(options: argparse.Namespace) -> int:
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


def _perfusion(options: argparse.Namespace) -> None:
    from StrokeSegLib.case import Case, map_case

    case = Case(
        input=options.input, output=options.output, settings=tuple(options.settings), times_s=_times(options.times)
    )
    findings = map_case(case, _silence if options.quiet else _show_progress)
    for warning in findings.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    sys.stdout.write(f"maps         {case.output}\n")


def _by_name(pairs: list[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` by name.

    Raises:
        StrokeSegError: something else.
    """
    split = [pair.partition("=") for pair in pairs]
    for (name, equals, value), pair in zip(split, pairs, strict=True):
        if not (name and equals and value):
            raise StrokeSegError(f"“{option} {pair}” names nothing; write {option} NAME=VALUE, as {option} tmax=….")
    return {name: value for name, _, value in split}


def _times(file: Path | None) -> tuple[float, ...] | None:
    """The numbers of a text file, separated by blanks, commas or lines.

    Raises:
        StrokeSegError: the file cannot be read or holds something else.
    """
    if file is None:
        return None
    try:
        return tuple(float(number) for number in file.read_text(encoding="utf-8").replace(",", " ").split())
    except (OSError, ValueError) as error:
        raise StrokeSegError(
            f"{file} cannot be read as times ({error}); it must hold the seconds of the frames and nothing else."
        ) from error


def _silence(fraction: float, stage: str) -> None:
    """No progress."""


def _show_progress(fraction: float, stage: str) -> None:
    end = "\n" if fraction >= 1 else ""
    sys.stderr.write(f"\r\033[K{fraction:4.0%} {stage}{end}" if sys.stderr.isatty() else f"{fraction:4.0%} {stage}\n")
    sys.stderr.flush()


def _show_batch_progress(progress) -> None:
    fraction = progress.finished / progress.total
    stage = f"{progress.finished} of {progress.total} cases"
    if progress.failed:
        stage += f", {progress.failed} failed"
    if progress.remaining_s:
        stage += f", {_duration(progress.remaining_s)} left"
    _show_progress(fraction, stage)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _phantom(options: argparse.Namespace) -> None:
    from StrokeSegLib.phantom import SPACING_MM, write_cpaisd_dataset, write_phantom

    spacing_mm = tuple(options.spacing) if options.spacing else None
    if options.format == "cpaisd":
        seeds = range(options.seed, options.seed + options.studies)
        write_cpaisd_dataset(options.output, seeds, spacing_mm=spacing_mm or SPACING_MM["ncct"])
        sys.stdout.write(f"{options.output}: {options.studies} studies\n")
        return
    write_phantom(
        options.output,
        seed=options.seed,
        kind=options.kind,
        format=options.format,
        spacing_mm=spacing_mm,
        tilt_deg=options.tilt,
        lesion=options.lesion,
        side=options.side,
        motion=options.motion,
        sampling=options.sampling,
    )
    sys.stdout.write(f"{options.output}: {_truth(options.output)}\n")


def _export(options: argparse.Namespace) -> None:
    """Export each case; one that fails is told at once and does not stop the others."""
    from StrokeSegLib.exports.export import Export, export

    if len(options.cases) > 1 and (options.name or options.source):
        raise StrokeSegError("--name and --source are of one case; give one case folder with them.")
    failed, named = 0, []
    for case in options.cases:
        try:
            asked = Export(case, options.kind, options.output, options.name, options.source, options.empty_patient)
            made = export(asked, _silence if options.quiet else _show_progress)
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


def _demo(options: argparse.Namespace) -> None:
    from StrokeSegLib.case import Case
    from StrokeSegLib.phantom import DEMO_SEED, write_phantom

    patient = options.output / "patient"
    # The demo's patient is the same every time; an earlier one is used again.
    if not (patient / "truth.json").exists():
        write_phantom(patient, seed=DEMO_SEED, lesion="m1")
    sys.stdout.write(f"A synthetic patient, no real person, in {patient}. Truth: {_truth(patient)}\n")
    _segmented(Case(input=patient / "image", output=options.output / "results"), quiet=False)


def _truth(phantom: Path) -> str:
    volumes_ml = json.loads((phantom / "truth.json").read_text(encoding="utf-8"))["volumes_ml"]
    return ", ".join(f"{name} {volume_ml:.1f} ml" for name, volume_ml in volumes_ml.items())


def _models_list(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    known = models.list_bundles()
    defaults = models.default_hashes(known)
    for bundle in known:
        mark = "default" if bundle.sha256 in defaults else ""
        sys.stdout.write(f"{bundle.name:<40} {bundle.version:<10} {bundle.method:<20} {mark}".rstrip() + "\n")


def _models_default(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    bundle = models.find_bundle(options.name)
    models.make_default(bundle)
    sys.stdout.write(f"{bundle.method} runs with {bundle.name} {bundle.version} from now on.\n")


def _models_show(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    sys.stdout.write(json.dumps(models.find_bundle(options.name).description(), indent=2, ensure_ascii=False) + "\n")


def _models_verify(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    bundle = models.verify(options.bundle)
    sys.stdout.write(f"{bundle.name} {bundle.version} is whole: {bundle.sha256}\n")


def _models_install(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    bundle = models.install(options.source, sha256=options.sha256)
    sys.stdout.write(f"{bundle.name} {bundle.version} is installed.\n")


def _models_import(options: argparse.Namespace) -> None:
    from StrokeSegLib import models

    bundle = models.import_checkpoint(options.checkpoint, options.method, options.output, options.settings)
    sys.stdout.write(f"{bundle.name} {bundle.version} is written to {options.output}.\n")


if __name__ == "__main__":
    slicer = sys.modules.get("slicer")
    if slicer is None:
        sys.exit(main())
    # Slicer goes on running after a script unless it is told to end.
    slicer.util.exit(run_beside(Path(__file__), sys.argv[1:]))
