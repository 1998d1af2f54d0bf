"""A model bundle: `bundle.json` and safetensors weights in a folder, or a zip file of it."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from StrokeSegLib.documents.bundle import BundleDocument
from StrokeSegLib.documents.settings import setting_of
from StrokeSegLib.documents.typing import first_problem
from StrokeSegLib.errors import BundleError
from StrokeSegLib.networks import Architecture, build

if TYPE_CHECKING:
    import torch

DESCRIPTION_FILE = "bundle.json"
LARGEST_FILE_BYTES = 2 << 30
"""A bundle's file above this is refused before it is read: no stroke network is that large."""


@dataclass(frozen=True)
class Weights:
    """One member of an ensemble: a safetensors file in the bundle and its hash."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ModelBundle:
    """What a bundle says of itself, in the format of bundles; weights are read on demand and checked then.

    Args:
        path: the folder or zip file.
        architecture: None for a method without a network, whose bundle has no weights either.
        preparation, prediction: settings of the bundle's method, JSON values.
        labels: segment name to label value.
        provenance: training data, counts, seed, date, code version.
        evaluation: on what, figures.
        overrides: settings that were replaced for this run, as given.
    """

    path: Path
    name: str
    version: str
    method: str
    architecture: Architecture | None
    preparation: Mapping[str, object]
    prediction: Mapping[str, object]
    labels: Mapping[str, int]
    weights: tuple[Weights, ...]
    provenance: Mapping[str, object]
    evaluation: Mapping[str, object]
    licence: str
    intended_use: str
    sha256: str
    overrides: tuple[str, ...] = ()

    def load_networks(self) -> list["torch.nn.Module"]:
        """The ensemble's networks on the CPU in float32, in evaluation mode; none where the method has none.

        Raises:
            BundleError: a file is missing, damaged, not safetensors, or does not fit the architecture.
        """
        return [self._network(weights) for weights in self.weights]

    def overridden(self, settings: Sequence[str]) -> "ModelBundle":
        """The bundle with ``preparation.key=value`` or ``prediction.key=value`` replaced; its method checks them.

        Raises:
            BundleError: no such setting.
        """
        if not settings:
            return self
        groups = {"preparation": dict(self.preparation), "prediction": dict(self.prediction)}
        for setting in map(setting_of, settings):
            groups[setting.group][setting.key] = setting.value
        frozen = {name: MappingProxyType(values) for name, values in groups.items()}
        return replace(self, **frozen, overrides=(*self.overrides, *settings))

    def description(self) -> dict:
        """The content of `bundle.json`."""
        return json.loads(_read(self.path, DESCRIPTION_FILE))

    def _network(self, weights: Weights) -> "torch.nn.Module":
        import safetensors
        import safetensors.torch

        content = _read(self.path, weights.file)
        if hashlib.sha256(content).hexdigest() != weights.sha256:
            raise BundleError(
                f"{weights.file} of the model “{self.name}” is not the published file (its hash "
                "differs). Install the model again."
            )
        try:
            state = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise BundleError(
                f"{weights.file} of the model “{self.name}” is not a safetensors file and was rejected."
            ) from error
        network = build(self.architecture)
        expected = network.state_dict()
        odd = sorted(set(state) ^ set(expected)) or [
            key for key, tensor in expected.items() if tensor.shape != state[key].shape
        ]
        if odd:
            raise BundleError(
                f"{weights.file} of the model “{self.name}” does not fit its architecture “{self.architecture.name}” "
                f"(first at “{odd[0]}”)."
            )
        network.load_state_dict({key: tensor.to(expected[key].dtype) for key, tensor in state.items()})
        return network


def open_bundle(path: Path | str) -> ModelBundle:
    """The bundle in a folder or zip file, its description checked.

    Raises:
        BundleError: no bundle there, or one that breaks the format.
    """
    path = Path(path)
    if not path.exists():
        raise BundleError(f"No model bundle was found at {path}.")
    content = _read(path, DESCRIPTION_FILE)
    description = _described(content, path.name)
    weights = tuple(Weights(**entry) for entry in description.pop("weights"))
    architecture = description.pop("architecture", None)
    del description["schema_version"]
    frozen = {key: MappingProxyType(value) if isinstance(value, dict) else value for key, value in description.items()}
    return ModelBundle(
        path=path,
        architecture=architecture and Architecture(**architecture),
        weights=weights,
        sha256=hashlib.sha256(content).hexdigest(),
        **frozen,
    )


Check = Callable[[ModelBundle], None]
"""Raises a `BundleError` where a bundle does not suit its method; see `methods.check`."""


def verify(path: Path | str, check: Check) -> ModelBundle:
    """The bundle, once its description, its settings, every hash and the fit of every network are found right.

    Raises:
        BundleError: what is wrong with it.
    """
    bundle = open_bundle(path)
    check(bundle)
    bundle.load_networks()
    return bundle


def _described(content: bytes, bundle: str) -> dict:
    """The description in a `bundle.json`.

    Raises:
        BundleError: it is not valid JSON or does not follow the format.
    """
    try:
        description = json.loads(content)
        BundleDocument.model_validate_json(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{DESCRIPTION_FILE} of {bundle} is not valid JSON.") from error
    except ValidationError as error:
        raise BundleError(f"The bundle {bundle} does not follow the format: {first_problem(error)}.") from error
    return description


def _read(bundle: Path, name: str) -> bytes:
    """One file of a bundle; names come from the schema and hold no folder, links are not followed.

    Raises:
        BundleError: the file is missing, a link, or absurdly large.
    """
    try:
        if bundle.is_dir():
            file = bundle / name
            if file.is_symlink():
                raise BundleError(f"{name} of {bundle.name} is a link; a bundle must contain its files.")
            if file.stat().st_size > LARGEST_FILE_BYTES:
                raise BundleError(f"{name} of {bundle.name} is too large for a model.")
            return file.read_bytes()
        with zipfile.ZipFile(bundle) as archive:
            if archive.getinfo(name).file_size > LARGEST_FILE_BYTES:
                raise BundleError(f"{name} of {bundle.name} is too large for a model.")
            return archive.read(name)
    except (FileNotFoundError, KeyError) as error:
        raise BundleError(f"{bundle.name} is not a complete model bundle: {name} is missing.") from error
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"{bundle.name} cannot be read: it is neither a folder nor a complete zip file.") from error
