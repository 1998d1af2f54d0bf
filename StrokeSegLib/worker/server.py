"""The process behind panel and batch: requests in, events out, one line each; torch and the models stay warm.

See `protocol` for the lines, `documents.requests` and `documents.events` for what they say. The process ends when stdin
closes.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from queue import Empty, Queue
from typing import TextIO

from StrokeSegLib.documents.events import (
    Done,
    Event,
    Exported,
    Failed,
    KnownModel,
    Log,
    Memory,
    Models,
    Progress,
    Ready,
)
from StrokeSegLib.documents.requests import COMMANDS, Asked, Case, Export, ListModels, MakeDefault, Phantom
from StrokeSegLib.errors import Cancelled, StrokeSegError
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.progress import Report
from StrokeSegLib.threads import let_idle_threads_sleep
from StrokeSegLib.worker.protocol import event_line

IDLE_S = 0.5
"""Nobody having asked for so long, the process makes itself ready for a run; one of a single request ends before."""


class Worker:
    """Serves one request after another; a cancel takes effect at the next report of progress."""

    def __init__(self, requests: TextIO, events: TextIO):
        self._requests = requests
        self._events = events
        self._writing = threading.Lock()
        self._queue: Queue[dict] = Queue()
        self._cancelled: set[str] = set()

    def serve(self) -> None:
        """Serve until the stream of requests ends, which ends the process."""
        self._tell(None, Ready(os.getpid()))
        threading.Thread(target=self._read_requests, daemon=True).start()
        waiting_s: float | None = IDLE_S
        while True:
            try:
                self._serve(self._queue.get(timeout=waiting_s))
            except Empty:
                _warm_up()
                waiting_s = None

    def _read_requests(self) -> None:
        for line in self._requests:
            try:
                request = json.loads(line)
                is_cancel, identity = request["command"] == "cancel", request["id"]
            except (json.JSONDecodeError, KeyError, TypeError):
                self._tell(None, Failed("A request was not a JSON object with id and command.", "bug"))
                continue
            if is_cancel:
                self._cancelled.add(identity)
            else:
                self._queue.put(request)
        # Whoever asked is gone, so nobody waits for a run in progress; what it has begun to write goes with it.
        writing = sys.modules.get("StrokeSegLib.storage.atomic")
        if writing is not None:
            writing.remove_unfinished()
        os._exit(0)

    def _serve(self, content: dict) -> None:
        identity = content["id"]
        try:
            for event in self._carried_out(request_of(content), self._progress_of(identity)):
                self._tell(identity, event)
            self._tell(identity, Done())
        except Cancelled as error:
            self._tell(identity, Failed(str(error), "cancelled"))
        except StrokeSegError as error:
            self._tell(identity, Failed(str(error), "user"))
        except Exception as error:
            self._tell(identity, Log(traceback.format_exc()))
            self._tell(identity, Failed(f"Internal error: {error!r}.", "bug"))
        self._cancelled.discard(identity)

    def _carried_out(self, request: Asked, progress: Report) -> Iterator[Event]:
        """Do what is asked for, and give what there is to tell of it."""
        match request:
            case Case():
                from StrokeSegLib.case import segment_case
                from StrokeSegLib.process_memory import forget_peak, peak_memory_mb

                forget_peak()
                segment_case(request, progress)
                yield Memory(peak_memory_mb())
            case Export():
                from StrokeSegLib.exports.export import export

                exported = export(request, progress)
                yield Exported(exported.name, tuple(map(str, exported.files)))
            case Phantom():
                from StrokeSegLib.phantom import write_phantom

                drawn = dict(vars(request))
                write_phantom(drawn.pop("output"), **drawn, format="nrrd")
            case ListModels():
                yield known_models()
            case MakeDefault():
                from StrokeSegLib.models import find_bundle, make_default

                make_default(find_bundle(request.name))
                yield known_models()

    def _progress_of(self, identity: str) -> Report:
        """Tells a request's progress, unless it was cancelled."""

        def report(fraction: float, stage: str) -> None:
            if identity in self._cancelled:
                raise Cancelled("The run was cancelled; nothing was written.")
            self._tell(identity, Progress(round(fraction, 4), stage))

        return report

    def _tell(self, identity: str | None, event: Event) -> None:
        with self._writing:
            self._events.write(event_line(identity, event))
            self._events.flush()


def request_of(content: dict) -> Asked:
    """The request of a line's content.

    Raises:
        pydantic.ValidationError, KeyError: it is none.
    """
    from pydantic import TypeAdapter

    fields = {key: value for key, value in content.items() if key not in ("id", "command")}
    if fields.get("stack"):
        fields["stack"] = SliceStack(**fields["stack"])
    return TypeAdapter(COMMANDS[content["command"]]).validate_python(fields)


def known_models() -> Models:
    """All models, shipped and installed."""
    from StrokeSegLib.models import default_hashes, list_bundles

    bundles = list_bundles()
    defaults = default_hashes(bundles)
    return Models(
        tuple(
            KnownModel(
                name=bundle.name,
                version=bundle.version,
                method=bundle.method,
                training_data=bundle.provenance["training_data"],
                intended_use=bundle.intended_use,
                licence=bundle.licence,
                evaluation=dict(bundle.evaluation),
                is_default=bundle.sha256 in defaults,
            )
            for bundle in bundles
        )
    )


def _warm_up() -> None:
    """Import what the first request would wait for."""
    import segmentation_models_pytorch  # noqa: F401

    import StrokeSegLib.case  # noqa: F401


def main() -> None:
    """Serve stdin; whatever a library prints goes to stderr, so that stdout carries events alone."""
    let_idle_threads_sleep()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    Worker(os.fdopen(os.dup(0), encoding="utf-8"), events).serve()
