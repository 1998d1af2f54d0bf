"""The process behind the panel: requests in, events out, one JSON object a line; torch and the models stay warm.

A request is ``{"id", "command": "segment", "input", "output"}`` with, where wanted, ``"methods", "models", "device",
"side", "settings", "save_probabilities", "save_scan", "stack", "maps", "units", "times_s", "clinical", "files"``, or
``{"id", "command": "export", "case", "kind", "output"}`` with, where wanted, ``"name", "source", "empty_patient"``, or
``{"id", "command": "phantom", "output", "seed"}`` with, where wanted, ``"kind", "lesion", "side", "spacing_mm"``, or
``{"id", "command": "default", "name"}``, which makes a model the default of its method and tells the models anew, or
``{"id", "command": "cancel" | "models"}``. Events carry the request's ``id`` and ``event``: ``ready`` (``pid``)
once at the start, ``progress`` (``fraction``, ``stage``), ``exported`` (``name``, ``files``), ``log`` (``message``),
``memory`` (``peak_mb`` of a run), ``models``, ``done``, and ``error`` (``message``, ``kind``: ``user``, ``cancelled``
or ``bug``). The process ends when stdin closes.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import TextIO

from StrokeSegLib.errors import Cancelled, StrokeSegError

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
        self._send(None, "ready", pid=os.getpid())
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
                command = request["command"]
                request["id"]
            except (json.JSONDecodeError, KeyError, TypeError):
                self._send(None, "error", message="A request was no JSON object with id and command.", kind="bug")
                continue
            if command == "cancel":
                self._cancelled.add(request["id"])
            else:
                self._queue.put(request)
        # Whoever asked is gone, so nobody waits for a run in progress; what it has begun to write goes with it.
        writing = sys.modules.get("StrokeSegLib.storage.atomic")
        if writing is not None:
            writing.remove_unfinished()
        os._exit(0)

    def _serve(self, request: dict) -> None:
        identity = request["id"]
        try:
            COMMANDS[request["command"]](self, request)
            self._send(identity, "done")
        except Cancelled as error:
            self._send(identity, "error", message=str(error), kind="cancelled")
        except StrokeSegError as error:
            self._send(identity, "error", message=str(error), kind="user")
        except Exception as error:
            self._send(identity, "log", message=traceback.format_exc())
            self._send(identity, "error", message=f"An internal error: {error!r}.", kind="bug")
        self._cancelled.discard(identity)

    def _segment(self, request: dict) -> None:
        from StrokeSegLib.case import segment_case
        from StrokeSegLib.process_memory import forget_peak, peak_memory_mb
        from StrokeSegLib.segment_request import case_of

        forget_peak()
        segment_case(case_of(request), self._progress_of(request))
        self._send(request["id"], "memory", peak_mb=peak_memory_mb())

    def _export(self, request: dict) -> None:
        from StrokeSegLib.exports.export import Export, export

        asked = Export(
            case=Path(request["case"]),
            kind=request["kind"],
            output=Path(request["output"]),
            name=request.get("name"),
            source=Path(request["source"]) if request.get("source") else None,
            empty_patient=request.get("empty_patient", False),
        )
        exported = export(asked, self._progress_of(request))
        self._send(request["id"], "exported", name=exported.name, files=[str(file) for file in exported.files])

    def _progress_of(self, request: dict) -> Callable[[float, str], None]:
        """Tells a request's progress, unless it was cancelled."""

        def report(fraction: float, stage: str) -> None:
            if request["id"] in self._cancelled:
                raise Cancelled("The run was cancelled; nothing was written.")
            self._send(request["id"], "progress", fraction=round(fraction, 4), stage=stage)

        return report

    def _phantom(self, request: dict) -> None:
        from StrokeSegLib.phantom import write_phantom

        options = {key: request[key] for key in ("kind", "lesion", "side", "spacing_mm") if key in request}
        write_phantom(Path(request["output"]), request["seed"], format="nrrd", **options)

    def _models(self, request: dict) -> None:
        from StrokeSegLib.models import default_hashes, list_bundles

        known = list_bundles()
        defaults = default_hashes(known)
        bundles = [
            {
                "name": bundle.name,
                "version": bundle.version,
                "method": bundle.method,
                "training_data": bundle.provenance["training_data"],
                "intended_use": bundle.intended_use,
                "licence": bundle.licence,
                "evaluation": dict(bundle.evaluation),
                "is_default": bundle.sha256 in defaults,
            }
            for bundle in known
        ]
        self._send(request["id"], "models", models=bundles)

    def _default(self, request: dict) -> None:
        from StrokeSegLib.models import find_bundle, make_default

        make_default(find_bundle(request["name"]))
        self._models(request)

    def _send(self, identity: str | None, event: str, **content) -> None:
        with self._writing:
            self._events.write(json.dumps({"id": identity, "event": event, **content}, ensure_ascii=False) + "\n")
            self._events.flush()


COMMANDS = {
    "segment": Worker._segment,
    "export": Worker._export,
    "phantom": Worker._phantom,
    "models": Worker._models,
    "default": Worker._default,
}


def _warm_up() -> None:
    """Import what the first request would wait for."""
    import segmentation_models_pytorch  # noqa: F401

    import StrokeSegLib.case  # noqa: F401


def main() -> None:
    """Serve stdin; whatever a library prints goes to stderr, so that stdout carries events alone."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    Worker(os.fdopen(os.dup(0), encoding="utf-8"), events).serve()


if __name__ == "__main__":
    main()
