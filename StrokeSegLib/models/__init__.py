"""Model bundles: read, check, list, install, import from published checkpoints. Models are data, never code."""

from StrokeSegLib.models.bundle import ModelBundle, open_bundle, verify
from StrokeSegLib.models.checkpoint import import_checkpoint
from StrokeSegLib.models.store import find_bundle, install, installed_folder, list_bundles
from StrokeSegLib.models.writing import write_bundle

__all__ = [
    "ModelBundle",
    "find_bundle",
    "import_checkpoint",
    "install",
    "installed_folder",
    "list_bundles",
    "open_bundle",
    "verify",
    "write_bundle",
]
