"""The description of a model bundle: `bundle.json`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from StrokeSegLib.documents.typing import Part

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArchitectureDocument(Part):
    """The network's; see `networks.Architecture`."""

    name: str
    arguments: dict[str, object]


class WeightsDocument(Part):
    """One member of an ensemble: a safetensors file in the bundle and its hash."""

    file: Annotated[str, Field(pattern=r"^weights-[0-9]+\.safetensors$")]
    sha256: Sha256


class Provenance(BaseModel):
    """Origin of the model; further keys are allowed."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    training_data: str


class BundleDocument(Part):
    """A bundle. Its method says which settings and labels it may have, see `Method.check`."""

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    method: str
    architecture: ArchitectureDocument | None = None
    preparation: dict[str, object]
    prediction: dict[str, object]
    labels: Annotated[dict[str, Annotated[int, Field(ge=1, le=255)]], Field(min_length=1)]
    weights: list[WeightsDocument]
    provenance: Provenance
    evaluation: dict[str, object]
    licence: str
    intended_use: str
