"""Requests and events as lines of JSON: ``{"id", "command", …}`` to the worker, ``{"id", "event", …}`` from it.

Light, for the panel speaks it before the worker's packages are installed; the worker checks what it reads, whoever
wrote it.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from StrokeSegLib.documents.events import EVENTS, Event, KnownModel
from StrokeSegLib.documents.requests import COMMANDS, Asked

_COMMAND_OF = {kind: name for name, kind in COMMANDS.items()}
_EVENT_OF = {kind: name for name, kind in EVENTS.items()}


def request_line(identity: str, request: Asked) -> str:
    """A request as a line."""
    return _line({"id": identity, "command": _COMMAND_OF[type(request)], **asdict(request)})


def event_line(identity: str | None, event: Event) -> str:
    """An event as a line; without identity it tells of the worker itself."""
    return _line({"id": identity, "event": _EVENT_OF[type(event)], **asdict(event)})


def event_of(line: str | bytes) -> tuple[str | None, Event]:
    """The identity and the event of a line that the worker wrote."""
    content = json.loads(line)
    identity, kind = content.pop("id"), EVENTS[content.pop("event")]
    if "models" in content:
        content["models"] = tuple(KnownModel(**model) for model in content["models"])
    return identity, kind(**content)


def _line(content: dict) -> str:
    return json.dumps(content, ensure_ascii=False, default=_as_json) + "\n"


def _as_json(value: object) -> object:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} has no place in a message")
