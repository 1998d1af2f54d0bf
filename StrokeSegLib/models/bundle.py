"""A model bundle: `bundle.json` and safetensors weights in a folder, or a zip file of it."""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import jsonschema

from StrokeSegLib.errors import BundleError
from StrokeSegLib.networks import Architecture, build

if TYPE_CHECKING:
    import torch

DESCRIPTION_FILE = "bundle.json"
SCHEMA_FILE = Path(__file__).with_name("bundle.schema.json")
LARGEST_FILE_BYTES = 2 << 30
"""A bundle's file above this is refused before it is read: no stroke network is that large."""


@dataclass(frozen=True)
class Weights:
    """One member of an ensemble: a safetensors file in the bundle and its hash."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ModelBundle:
    """What a bundle says of itself, checked against its schema; weights are read on demand and checked then.

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
        """The bundle with ``preparation.key=value`` or ``prediction.key=value`` replaced; values are JSON or a name.

        Raises:
            BundleError: a setting that this bundle's method does not know or a value that it does not allow.
        """
        if not settings:
            return self
        description = self.description() | {"preparation": dict(self.preparation), "prediction": dict(self.prediction)}
        for setting in settings:
            group, _, rest = setting.partition(".")
            key, equals, value = rest.partition("=")
            if group not in ("preparation", "prediction") or not equals:
                raise BundleError(f"“{setting}” is no setting; write preparation.KEY=VALUE or prediction.KEY=VALUE.")
            description[group][key] = _setting_value(setting, value)
        _check_schema(description, "The settings do not suit the model")
        return replace(
            self,
            preparation=MappingProxyType(description["preparation"]),
            prediction=MappingProxyType(description["prediction"]),
            overrides=(*self.overrides, *settings),
        )

    def description(self) -> dict:
        """The content of `bundle.json`."""
        return json.loads(_read(self.path, DESCRIPTION_FILE))

    def _network(self, weights: Weights) -> "torch.nn.Module":
        import safetensors
        import safetensors.torch

        content = _read(self.path, weights.file)
        if hashlib.sha256(content).hexdigest() != weights.sha256:
            raise BundleError(
                f"{weights.file} of the model “{self.name}” is not the file it was published with (its hash "
                "differs); install the model again."
            )
        try:
            state = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise BundleError(
                f"{weights.file} of the model “{self.name}” is no safetensors file; it is refused."
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
        raise BundleError(f"There is no model bundle at {path}.")
    content = _read(path, DESCRIPTION_FILE)
    try:
        description = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{DESCRIPTION_FILE} of {path.name} is no JSON.") from error
    _check_schema(description, f"The bundle {path.name} breaks the format")
    weights = tuple(Weights(**entry) for entry in description.pop("weights"))
    architecture = Architecture(**description.pop("architecture")) if weights else None
    del description["schema_version"]
    frozen = {key: MappingProxyType(value) if isinstance(value, dict) else value for key, value in description.items()}
    return ModelBundle(
        path=path,
        architecture=architecture,
        weights=weights,
        sha256=hashlib.sha256(content).hexdigest(),
        **frozen,
    )


def verify(path: Path | str) -> ModelBundle:
    """The bundle, once its description, every hash and the fit of every network are found right.

    Raises:
        BundleError: what is wrong with it.
    """
    bundle = open_bundle(path)
    bundle.load_networks()
    return bundle


def _setting_value(setting: str, value: str) -> object:
    """A value as JSON, or a name, which a command line gives without quotes."""
    try:
        return json.loads(value, parse_constant=_not_a_number)
    except ValueError as error:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value) and value not in ("NaN", "Infinity"):
            return value
        raise BundleError(
            f"The value of “{setting}” is neither a number, true, false, null, a name nor a list."
        ) from error


def _not_a_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_schema(description: object, what: str) -> None:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(description))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or DESCRIPTION_FILE
        raise BundleError(f"{what}: {place}: {error.message}.")


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _read(bundle: Path, name: str) -> bytes:
    """One file of a bundle; names come from the schema and hold no folder, links are not followed.

    Raises:
        BundleError: the file is missing, a link, or absurdly large.
    """
    try:
        if bundle.is_dir():
            file = bundle / name
            if file.is_symlink():
                raise BundleError(f"{name} of {bundle.name} is a link; a bundle holds its own files only.")
            if file.stat().st_size > LARGEST_FILE_BYTES:
                raise BundleError(f"{name} of {bundle.name} is too large for a model.")
            return file.read_bytes()
        with zipfile.ZipFile(bundle) as archive:
            if archive.getinfo(name).file_size > LARGEST_FILE_BYTES:
                raise BundleError(f"{name} of {bundle.name} is too large for a model.")
            return archive.read(name)
    except (FileNotFoundError, KeyError) as error:
        raise BundleError(f"{bundle.name} lacks {name}; it is no complete model bundle.") from error
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"{bundle.name} cannot be read; it is neither a folder nor a whole zip file.") from error
