"""A bundle written as a folder, whole or not at all."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from StrokeSegLib.errors import BundleError
from StrokeSegLib.models.bundle import DESCRIPTION_FILE, Check, ModelBundle, open_bundle, verify
from StrokeSegLib.storage.atomic import atomic

if TYPE_CHECKING:
    import torch


def write_bundle(
    folder: Path, description: dict, states: Sequence["dict[str, torch.Tensor]"], check: Check, half: bool = False
) -> ModelBundle:
    """Write a new bundle.

    Args:
        folder: must not exist yet.
        description: the content of `bundle.json` without ``schema_version`` and ``weights``.
        states: a state dict for each member of the ensemble.
        check: see `verify`.
        half: store floating-point weights as float16.

    Raises:
        BundleError: the folder exists, or the bundle would be invalid.
        OutputError: the folder cannot be written.
    """
    import safetensors.torch
    import torch

    folder = Path(folder)
    if folder.exists():
        raise BundleError(f"{folder} already exists. Choose another name or remove it.")
    with atomic(folder.parent) as place:
        partial = place(folder.name)
        partial.mkdir()
        weights = []
        for member, state in enumerate(states):
            stored = {
                key: tensor.detach().cpu().to(torch.float16 if half and tensor.is_floating_point() else tensor.dtype)
                for key, tensor in state.items()
            }
            content = safetensors.torch.save({key: tensor.contiguous() for key, tensor in stored.items()})
            name = f"weights-{member}.safetensors"
            (partial / name).write_bytes(content)
            weights.append({"file": name, "sha256": hashlib.sha256(content).hexdigest()})
        text = json.dumps({"schema_version": 1, **description, "weights": weights}, indent=2, ensure_ascii=False)
        (partial / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")
        verify(partial, check)
    return open_bundle(folder)
