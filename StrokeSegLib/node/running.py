"""One study from its images to DICOM objects, by the worker that `strokeseg batch` and the panel use."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from StrokeSegLib.documents.requests import Asked, Case, Export
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.node.configuration import Configuration
from StrokeSegLib.node.folders import NodeFolders
from StrokeSegLib.node.rules import Task, tasks_of
from StrokeSegLib.node.studies_queue import QueuedStudy
from StrokeSegLib.vocabulary.exports import OF_A_SERIES
from StrokeSegLib.worker.processes import Outcome, Status

CASE, OBJECTS, SUMMARY = "case", "objects", "run.json"
"""In the results of a study: below the number of each segmentation its case folder and DICOM objects; the summary."""

NOTHING_TO_DO = "No series of the study fulfils a rule of the configuration, so that nothing was segmented."

INTERNAL_ERROR = "An internal error; log.txt in the folder of the study says which. Please report it."
"""In place of the error's own text, which may contain identity."""


@dataclass(frozen=True)
class Run:
    """What became of the run of a study.

    Args:
        status: `DONE` with results in the study's folder, or with nothing to do.
        sentence: what was refused or went wrong, or why nothing was to be done; empty if everything was segmented.
        log: traceback or last words of a worker.
    """

    status: Status
    sentence: str = ""
    log: str = ""


def run_study(
    work: Callable[[Asked], Outcome],
    folders: NodeFolders,
    study: QueuedStudy,
    images: Sequence[str],
    configuration: Configuration,
) -> Run:
    """Segment a study and make DICOM SEG, SR, PDF and pictures of it; an earlier run's results are kept as they are.

    A study of which one segmentation succeeds and another is refused has results, and a sentence on the other.

    Args:
        work: has a worker process serve a request.
        folders: with the study's images, and for its results.
        study: from the queue.
        images: pseudonyms of its images.
        configuration: the settings of the node.

    Raises:
        OSError: the storage cannot be written.
    """
    results = folders.results(study.study, study.images)
    if results.exists():
        return Run(Status.DONE, sentence_of(results))
    source = folders.images(study.study)
    try:
        tasks = tasks_of([source / f"{image}.dcm" for image in images], configuration.rules)
    except StrokeSegError as error:
        return Run(Status.REFUSED, str(error))
    if not tasks:
        return Run(Status.DONE, NOTHING_TO_DO)
    working = folders.new_working(study.study)
    try:
        outcomes = []
        for number, task in enumerate(tasks, start=1):
            requests = _requests(task, source, working / str(number), configuration)
            outcomes.append(_first_failure(work, requests))
        return _finished(outcomes, working, folders, study)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def objects_of(results: Path) -> list[Path]:
    """The DICOM files in the results of a study; none if nothing was to be done."""
    return sorted(results.glob(f"*/{OBJECTS}/**/*.dcm"))


def sentence_of(results: Path) -> str:
    """What was refused in a study that has results; empty if nothing was."""
    return json.loads((results / SUMMARY).read_text(encoding="utf-8"))["sentence"]


def _requests(task: Task, source: Path, folder: Path, configuration: Configuration) -> list[Asked]:
    """What the worker is asked for, one after another."""
    case = Case(
        input=source,
        output=folder / CASE,
        methods=tuple(task.methods),
        models=tuple(configuration.models),
        device=configuration.device,
        files=tuple(task.files),
    )
    exports = [Export(case.output, kind, folder / OBJECTS / kind, source=source) for kind in OF_A_SERIES]
    return [case, *exports]


def _first_failure(work: Callable[[Asked], Outcome], requests: Sequence[Asked]) -> Outcome:
    """The outcome of requests that build on each other."""
    for request in requests:
        outcome = work(request)
        if outcome.status is not Status.DONE:
            return outcome
    return outcome


def _finished(outcomes: Sequence[Outcome], working: Path, folders: NodeFolders, study: QueuedStudy) -> Run:
    """Keep the results if there are any, and all of them if no worker died."""
    sentence = " ".join(dict.fromkeys(outcome.sentence for outcome in outcomes if outcome.sentence))
    log = "\n".join(outcome.log for outcome in outcomes if outcome.log)
    found = {outcome.status for outcome in outcomes}
    if Status.DIED in found:
        return Run(Status.DIED, sentence, log)
    if Status.BUG in found:
        return Run(Status.BUG, INTERNAL_ERROR, f"{sentence}\n{log}")
    if Status.DONE not in found:
        return Run(Status.REFUSED, sentence, log)
    for number, outcome in enumerate(outcomes, start=1):
        if outcome.status is not Status.DONE:
            shutil.rmtree(working / str(number), ignore_errors=True)
    (working / SUMMARY).write_text(json.dumps({"sentence": sentence}, ensure_ascii=False), encoding="utf-8")
    folders.finish(working, study.study, study.images)
    return Run(Status.DONE, sentence, log)
