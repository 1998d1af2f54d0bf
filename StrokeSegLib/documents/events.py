"""Events that the worker reports, on a request or on itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Ready:
    """The worker has started; the ID of its process."""

    pid: int


@dataclass(frozen=True)
class Progress:
    """Progress of a request, 0…1, and its current stage."""

    fraction: float
    stage: str


@dataclass(frozen=True)
class Log:
    """A log message for debugging."""

    message: str


@dataclass(frozen=True)
class Memory:
    """Peak memory of a run; None if the system does not report it."""

    peak_mb: float | None


@dataclass(frozen=True)
class Exported:
    """The name of the exported case, and the files or folders that were written."""

    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class KnownModel:
    """A model as a reader chooses it; see `ModelBundle`."""

    name: str
    version: str
    method: str
    training_data: str
    intended_use: str
    licence: str
    evaluation: Mapping[str, object]
    is_default: bool


@dataclass(frozen=True)
class Models:
    """All models that are known."""

    models: tuple[KnownModel, ...]


@dataclass(frozen=True)
class Done:
    """A request succeeded; its last event."""


@dataclass(frozen=True)
class Failed:
    """A request failed; its last event.

    Args:
        message: a sentence for the reader.
        kind: ``user`` for what the reader can change, ``cancelled``, or ``bug``.
    """

    message: str
    kind: Literal["user", "cancelled", "bug"]


Event = Ready | Progress | Log | Memory | Exported | Models | Done | Failed

EVENTS: dict[str, type[Event]] = {
    "ready": Ready,
    "progress": Progress,
    "log": Log,
    "memory": Memory,
    "exported": Exported,
    "models": Models,
    "done": Done,
    "error": Failed,
}
"""Name of each event in the worker's protocol."""
