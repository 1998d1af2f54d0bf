"""Published checkpoints turned into bundles: the only place where a pickle is opened, tensors only."""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from StrokeSegLib.errors import BundleError
from StrokeSegLib.methods.registry import check
from StrokeSegLib.models import ModelBundle, write_bundle

LIGHTNING_PREFIX = "_network."
"""What the CPAISD authors' Lightning module puts before each key."""

CPAISD_ARCHITECTURE = {
    "name": "smp-fpn",
    "arguments": {"encoder_name": "efficientnet-b0", "in_channels": 1, "classes": 3},
}


CTP_CORE_ARCHITECTURE = {"name": "sunet", "arguments": {"in_channels": 10, "classes": 2, "filters": 8}}

ENSEMBLE_PREFIX = "models."
"""What the authors' ensemble of folds puts, with the member's number, before each key."""


def import_checkpoint(checkpoint: Path, method: str, output: Path, settings: Sequence[str] = ()) -> ModelBundle:
    """A bundle of a published checkpoint.

    Args:
        checkpoint: for ``ncct-core-penumbra`` the CPAISD authors' `model.pt` (a plain state dict), or their Lightning
            checkpoint; for ``ctp-core`` a state dict of Clèrigues et al.'s network or of their ensemble of it.
        method: whose checkpoint it is.
        output: folder of the new bundle.
        settings: ``name=…``, ``version=…``, ``licence=…``; for ``ncct-core-penumbra`` also ``mean=HU`` and ``std=HU``
            of the training set, or ``metadata=FILE``, the data set's `metadata.json` that holds them; for ``ctp-core``
            also ``symmetry=…``, ``skull_strip=…`` and ``patch_axes=…``, see its `Preparation`.

    Raises:
        BundleError: not such a checkpoint, or a setting is missing or unknown.
    """
    if method not in PUBLISHED:
        raise BundleError(f"Checkpoints of “{method}” cannot be imported; supported are {' and '.join(PUBLISHED)}.")
    checkpoint = Path(checkpoint)
    if not checkpoint.is_file():
        raise BundleError(f"The checkpoint {checkpoint} does not exist.")
    options = dict(_setting(setting) for setting in settings)
    published = PUBLISHED[method](options)
    general = {"name": published.name, "version": "1.0.0", "licence": "as the checkpoint's publisher states"}
    general = {key: options.pop(key, default) for key, default in general.items()}
    if options:
        known = ", ".join((*published.options, *general))
        raise BundleError(f"Unknown setting “{next(iter(options))}”; possible settings are {known}.")
    description = {
        **general,
        "method": method,
        **published.description,
        "provenance": {
            "training_data": "as the checkpoint's publisher states (imported; not trained by this project)",
            "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        },
        "evaluation": {},
        "intended_use": "Research only; not a medical device.",
    }
    return write_bundle(output, description, _members(_state_dict(checkpoint)), check)


@dataclass(frozen=True)
class Published:
    """What is known of a method's published checkpoints.

    Args:
        name: name of the bundle if none is given.
        options: settings that it took.
        description: architecture, preparation, prediction and labels, as in `bundle.json`.
    """

    name: str
    options: tuple[str, ...]
    description: Mapping[str, object]


def _cpaisd(options: dict[str, str]) -> Published:
    """Umerenkov et al. 2024; takes its settings out of the options."""
    mean_hu, std_hu = _normalisation(options)
    return Published(
        "cpaisd-imported",
        ("mean", "std", "metadata"),
        {
            "architecture": CPAISD_ARCHITECTURE,
            "preparation": {"mean_hu": mean_hu, "std_hu": std_hu},
            "prediction": {"affected_threshold": None, "minimum_ml": 0.0},
            "labels": {"core": 1, "penumbra": 2},
        },
    )


def _ctp_core(options: dict[str, str]) -> Published:
    """Clèrigues et al. 2019; takes its settings out of the options.

    Their arrays are (x, y, z) of NIfTI files whose x grows to the patient's left and y to the back, as ITK writes them.
    """
    symmetry, axes = options.pop("symmetry", "register"), options.pop("patch_axes", "LP")
    skull_strip = options.pop("skull_strip", "true")
    if skull_strip not in ("true", "false"):
        raise BundleError(f"skull_strip is “{skull_strip}”, but must be true or false.")
    return Published(
        "ctp-core-imported",
        ("symmetry", "skull_strip", "patch_axes"),
        {
            "architecture": CTP_CORE_ARCHITECTURE,
            "preparation": {"symmetry": symmetry, "skull_strip": skull_strip == "true", "patch_axes": axes},
            "prediction": {"stride": 3, "mc_passes": 3, "threshold": 0.2, "minimum_voxels": 200},
            "labels": {"core": 1},
        },
    )


PUBLISHED: Mapping[str, Callable[[dict[str, str]], Published]] = {
    "ncct-core-penumbra": _cpaisd,
    "ctp-core": _ctp_core,
}
"""By method, what takes the settings of an import."""


def _members(state: dict) -> list[dict]:
    """A state dict for each member: the authors' ensembles hold them as ``models.0.…``, ``models.1.…``."""
    members: dict[int, dict] = {}
    for key, tensor in state.items():
        number, _, rest = key.removeprefix(ENSEMBLE_PREFIX).partition(".")
        if not (key.startswith(ENSEMBLE_PREFIX) and number.isdecimal()):
            return [state]
        members.setdefault(int(number), {})[rest] = tensor
    return [members[number] for number in sorted(members)]


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BundleError(f"“{text}” is not of the form KEY=VALUE.")
    return key, value


def _normalisation(options: dict[str, str]) -> tuple[float, float]:
    """Mean and standard deviation of the training set in HU, taken out of the options."""
    try:
        if "metadata" in options:
            statistics = json.loads(Path(options.pop("metadata")).read_text(encoding="utf-8"))["stats"]["train"]
            return float(statistics["mean"]), float(statistics["std"])
        return float(options.pop("mean")), float(options.pop("std"))
    except KeyError as error:
        raise BundleError(
            "The normalisation constants are missing. They are in the metadata.json of the CPAISD data set, not in the "
            "checkpoint. Use --set mean=… --set std=… or --set metadata=FILE."
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"The normalisation constants cannot be read: {error}.") from error


def _state_dict(checkpoint: Path) -> dict:
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"{checkpoint.name} is not a checkpoint of plain tensors; files that may contain code are not opened. "
            "Save the network's state_dict() where it was trained and import that."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BundleError(f"{checkpoint.name} does not contain a state dict of tensors.")
    return {key.removeprefix(LIGHTNING_PREFIX): tensor for key, tensor in state.items()}
