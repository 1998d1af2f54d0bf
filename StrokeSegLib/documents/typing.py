"""JSON values as dataclasses; errors state the place and the reason."""

import dataclasses
import json
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

Kind = TypeVar("Kind")


class Part(BaseModel):
    """Part of a document: known keys only, each of exactly its type; what is optional may be left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def typed(kind: type[Kind], values: Mapping[str, object]) -> Kind:
    """A dataclass of JSON values, as its annotations ask for; nothing is converted but whole numbers and lists.

    Raises:
        ValueError: an unknown or missing key, a value of the wrong type or out of its range; the message names it.
    """
    if unknown := sorted(set(values) - {field.name for field in dataclasses.fields(kind)}):
        known = ", ".join(field.name for field in dataclasses.fields(kind))
        raise ValueError(f"“{unknown[0]}” is unknown; known are {known}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(dict(values)), strict=True)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """Place and reason of the first error."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]
