"""One run from a volume node to nodes with its results."""

import shutil
import tempfile
import traceback
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from slicer.i18n import tr as _

from StrokeSegLib.documents.events import Done, Event, Failed, KnownModel, Log, Models, Progress
from StrokeSegLib.documents.requests import Cancel, Case, ListModels, MakeDefault
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.measures.trial_criteria import ClinicalInputs
from StrokeSegPanel.dicom_slices import true_slices
from StrokeSegPanel.geometry import BentSlicesError
from StrokeSegPanel.handover import write_series, write_volume
from StrokeSegPanel.process import WorkerProcess, timer
from StrokeSegPanel.results import Results, import_results
from StrokeSegPanel.scans import Series, UnusableScanError

CANCEL_MS = 4000
"""How long a run may take to notice a cancel before its process is ended."""


@dataclass(frozen=True)
class RunRequest:
    """What is asked for; an empty model takes the default of each method, no replaced node makes a new one.

    Args:
        volume: the scan's node, on whose grid the results lie.
        methods: that run together, as in `Case`; empty takes what the scan allows.
        model: name of the model of a single method.
        device, side: as in `Case`.
        replaced: the segmentation whose segments are replaced.
        series: the frames, where the volume shows a CT perfusion series.
        maps: volume nodes of perfusion maps that were made elsewhere, by name, in place of a series.
        units: unit of each map, by name, if the reader chose one.
        interval_s: between the frames, where the reader named it.
        clinical: what is known of the patient, as `StrokeSegLib.findings.ClinicalInputs` names it.
        dicom_folder: folder with the scan's DICOM files, if the scene does not know them.
    """

    volume: object
    methods: tuple[str, ...] = ()
    model: str = ""
    device: str = "auto"
    side: str = "auto"
    replaced: object = None
    series: Series | None = None
    maps: Mapping[str, object] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    interval_s: float | None = None
    clinical: Mapping[str, float] = field(default_factory=dict)
    dicom_folder: Path | None = None

    @property
    def nodes(self) -> list:
        """All nodes without which the run makes no sense."""
        series = [self.series.node] if self.series else []
        return [node for node in (self.volume, self.replaced, *series, *self.maps.values()) if node is not None]


class Listener(Protocol):
    """What a run tells; the panel is one."""

    def on_models(self, models: Sequence[KnownModel]) -> None: ...
    def on_progress(self, fraction: float, stage: str) -> None: ...
    def on_log(self, text: str) -> None: ...
    def on_done(self, results: Results) -> None: ...
    def on_stopped(self, message: str, cancelled: bool) -> None: ...


@dataclass(frozen=True)
class _Run:
    identity: str
    folder: Path
    request: RunRequest
    warnings: list[str] = field(default_factory=list)


class SegmentationLogic:
    """Runs segmentations in the worker process, one at a time, while Slicer stays usable.

    `start` begins to write the scan into a private temporary folder, part by part while the event loop turns, and
    sends the request when all is written. Progress and log lines reach the listener as they come. When the run is done
    its files become nodes of the scene and `on_done` is called; after an error, a cancel or the end of the process the
    scene is as it was and `on_stopped` says why. In every case the folder is removed. The process stays warm for the
    next run until `close`.
    """

    def __init__(self, library_root: str, listener: Listener, process_class=WorkerProcess):
        self._listener = listener
        self._process = process_class(library_root, self._on_event, listener.on_log, self._on_process_ended)
        self._run: _Run | None = None
        self._parts: Generator[None, None, Case] | None = None
        self._bringing_in: Generator[None, None, Results] | None = None
        self._handing_over = timer(self._hand_over_a_part)
        self._stepping = timer(self._bring_in_a_part)
        self._impatience = timer(self.abort)

    @property
    def is_running(self) -> bool:
        return self._run is not None

    @property
    def worker_pid(self) -> int | None:
        return self._process.worker_pid

    def warm_up(self) -> None:
        """Start the process, which loads torch and then lists the models."""
        if not self._process.is_running:
            self._process.send("models", ListModels())

    def make_default(self, name: str) -> None:
        """Let its method run with this model by default; the models are then told anew."""
        self._process.send("default", MakeDefault(name))

    def start(self, request: RunRequest) -> None:
        """Begin a run; whatever stops it is told to the listener."""
        folder = Path(tempfile.mkdtemp(prefix="strokeseg-"))
        self._run = _Run(uuid.uuid4().hex, folder, request)
        self._parts = _hand_over(self._run)
        self._handing_over.start(0)

    def _hand_over_a_part(self) -> None:
        """Write the next part of the scan; when there is none left, ask the worker."""
        if self._parts is None:
            return
        try:
            next(self._parts)
            self._handing_over.start(0)
        except StopIteration as written:
            self._parts = None
            self._process.send(self._run.identity, written.value)
        except BentSlicesError:
            self._stopped(
                _("A non-linear transform bends the slices of this volume. Harden the transform and run again.")
            )
        except (UnusableScanError, StrokeSegError) as error:
            self._stopped(str(error))
        except OSError as error:
            self._stopped(_("The scan could not be passed to the worker: {reason}").format(reason=error))
        except Exception as error:
            self._listener.on_log(traceback.format_exc())
            self._stopped(_("Internal error: {reason}. See the log.").format(reason=repr(error)))

    def cancel(self) -> None:
        """Ask the run to stop, and end its process if it does not listen."""
        if self._parts is not None or self._bringing_in is not None:
            self._stopped(_("The run was cancelled."), cancelled=True)
        elif self.is_running:
            self._process.send(self._run.identity, Cancel())
            self._impatience.start(CANCEL_MS)

    def abort(self) -> None:
        """Stop a run at once by ending its process."""
        if self.is_running:
            self._process.stop()
            self._stopped(_("The run was cancelled."), cancelled=True)

    def close(self) -> None:
        """Stop any run and end the process."""
        self.abort()
        self._process.stop()

    def _on_event(self, identity: str | None, event: Event) -> None:
        is_of_run = self._run is not None and identity == self._run.identity
        match event:
            case Models():
                self._listener.on_models(event.models)
            case Log():
                self._listener.on_log(event.message)
            case Failed() if not is_of_run:
                self._listener.on_log(event.message)
            case Progress() if is_of_run:
                self._listener.on_progress(event.fraction, event.stage)
            case Failed():
                self._stopped(event.message, cancelled=event.kind == "cancelled")
            case Done() if is_of_run:
                self._import()

    def _import(self) -> None:
        """Begin to bring the results into the scene, step by step as the scan was handed over."""
        run, request = self._run, self._run.request
        self._bringing_in = import_results(run.folder / "results", request.volume, request.replaced, run.warnings)
        self._listener.on_progress(1.0, _("showing the results"))
        self._stepping.start(0)

    def _bring_in_a_part(self) -> None:
        if self._bringing_in is None:
            return
        try:
            next(self._bringing_in)
            self._stepping.start(0)
        except StopIteration as complete:
            self._bringing_in = None
            self._end_run()
            self._listener.on_done(complete.value)
        except Exception as error:
            self._listener.on_log(traceback.format_exc())
            self._stopped(_("The results could not be loaded into the scene: {reason}").format(reason=error))

    def _on_process_ended(self, exit_code: int) -> None:
        self._stopped(
            _("The segmentation process ended unexpectedly (exit code {code}). See the log.").format(code=exit_code)
        )

    def _stopped(self, message: str, cancelled: bool = False) -> None:
        self._end_run()
        self._listener.on_stopped(message, cancelled)

    def _end_run(self) -> None:
        for one in (self._impatience, self._handing_over, self._stepping):
            one.stop()
        for parts in (self._parts, self._bringing_in):
            if parts is not None:
                parts.close()
        self._parts, self._bringing_in = None, None
        if self._run is not None:
            shutil.rmtree(self._run.folder, ignore_errors=True)
        self._run = None


def _hand_over(run: _Run) -> Generator[None, None, Case]:
    """Write the run's input, yielding after each part, and return the request that asks the worker for it.

    Raises:
        BentSlicesError, UnusableScanError: the scan cannot be handed over.
        OSError: the temporary folder cannot be written.
    """
    request = run.request
    slices = yield from true_slices(request.volume, request.dicom_folder)
    if slices.warning:
        run.warnings.append(slices.warning)
    times_s = None
    if request.series is None:
        scan = run.folder / "scan.nrrd"
        yield from write_volume(request.volume, scan)
    else:
        scan = run.folder / "scan.seq.nrrd"
        yield from write_series(request.series, scan)
        if request.interval_s is not None:
            times_s = tuple(frame * request.interval_s for frame in range(request.series.frames))
    maps = {name: run.folder / f"{name}-map.nrrd" for name in request.maps}
    for name, path in maps.items():
        _check_one_transform(request.maps[name], request.volume)
        yield from write_volume(request.maps[name], path)
    return Case(
        input=scan,
        output=run.folder / "results",
        methods=tuple(request.methods),
        models=(request.model,) if request.model else (),
        device=request.device,
        side=request.side,
        stack=slices.stack and SliceStack(**slices.stack),
        maps=maps,
        units=request.units,
        times_s=times_s,
        clinical=ClinicalInputs(**request.clinical),
    )


def _check_one_transform(perfusion_map, scan) -> None:
    if perfusion_map.GetTransformNodeID() != scan.GetTransformNodeID():
        raise UnusableScanError(
            _("“{map}” and “{scan}” have different parent transforms. Give both the same transform.").format(
                map=perfusion_map.GetName(), scan=scan.GetName()
            )
        )
