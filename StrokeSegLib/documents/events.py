"""What the worker tells of a request, or of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Ready:
    """It has started: the number of its process."""

    pid: int


@dataclass(frozen=True)
class Progress:
    """How far a request is, 0…1, and what is being done."""

    fraction: float
    stage: str


@dataclass(frozen=True)
class Log:
    """A message for those who look for a bug."""

    message: str


@dataclass(frozen=True)
class Memory:
    """The most that a run took; None where the system does not say it."""

    peak_mb: float | None


@dataclass(frozen=True)
class Exported:
    """The name that a case got, and the files or folders that were made."""

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
    """A request was carried out; nothing more is told of it."""


@dataclass(frozen=True)
class Failed:
    """A request was not carried out; nothing more is told of it.

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
"""What an event is called on its way from the worker."""
