"""Published checkpoints turned into bundles: the only place where a pickle is opened, tensors only."""

import hashlib
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

from StrokeSegLib.errors import BundleError
from StrokeSegLib.models.bundle import ModelBundle
from StrokeSegLib.models.writing import write_bundle

LIGHTNING_PREFIX = "_network."
"""What the CPAISD authors' Lightning module puts before each key."""

CPAISD_ARCHITECTURE = {
    "name": "smp-fpn",
    "arguments": {"encoder_name": "efficientnet-b0", "in_channels": 1, "classes": 3},
}


def import_checkpoint(checkpoint: Path, method: str, output: Path, settings: Sequence[str] = ()) -> ModelBundle:
    """A bundle of a published checkpoint.

    Args:
        checkpoint: for ``ncct-core-penumbra`` the CPAISD authors' `model.pt` (a plain state dict), or their Lightning
            checkpoint.
        method: whose checkpoint it is.
        output: folder of the new bundle.
        settings: ``mean=HU`` and ``std=HU`` of the training set, or ``metadata=FILE``, the data set's `metadata.json`
            that holds them; ``name=…``, ``version=…``, ``licence=…``.

    Raises:
        BundleError: not such a checkpoint, or the normalisation constants are missing.
    """
    if method != "ncct-core-penumbra":
        raise BundleError(f"Checkpoints of “{method}” cannot be imported; known is ncct-core-penumbra.")
    checkpoint = Path(checkpoint)
    if not checkpoint.is_file():
        raise BundleError(f"There is no checkpoint at {checkpoint}.")
    options = dict(_setting(setting) for setting in settings)
    mean_hu, std_hu = _normalisation(options)
    name, version = options.pop("name", "cpaisd-imported"), options.pop("version", "1.0.0")
    licence = options.pop("licence", "as the checkpoint's publisher states")
    if options:
        raise BundleError(
            f"“{next(iter(options))}” cannot be set here; known are mean, std, metadata, name, version, licence."
        )
    description = {
        "name": name,
        "version": version,
        "method": method,
        "architecture": CPAISD_ARCHITECTURE,
        "preparation": {"mean_hu": mean_hu, "std_hu": std_hu},
        "prediction": {"affected_threshold": None, "minimum_ml": 0.0},
        "labels": {"core": 1, "penumbra": 2},
        "provenance": {
            "training_data": "as the checkpoint's publisher states (imported; not trained by this project)",
            "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        },
        "evaluation": {},
        "licence": licence,
        "intended_use": "Research only; not a medical device.",
    }
    return write_bundle(output, description, [_state_dict(checkpoint)])


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BundleError(f"“{text}” is no setting; write KEY=VALUE.")
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
            "The normalisation constants are missing: they lie in the metadata.json of the CPAISD data set, not in the "
            "checkpoint; give --set mean=… --set std=… or --set metadata=FILE."
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"The normalisation constants cannot be read: {error}.") from error


def _state_dict(checkpoint: Path) -> dict:
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"{checkpoint.name} is no checkpoint of plain tensors, and files that may hold code are not opened; "
            "save the network's state_dict() where it was trained and import that."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BundleError(f"{checkpoint.name} holds no state dict of tensors.")
    return {key.removeprefix(LIGHTNING_PREFIX): tensor for key, tensor in state.items()}
