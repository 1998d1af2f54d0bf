"""Model bundles: read, check, list, install. Models are data, never code."""

from StrokeSegLib.models.bundle import ModelBundle, open_bundle, verify
from StrokeSegLib.models.defaults import default_bundle, default_hashes, make_default
from StrokeSegLib.models.store import find_bundle, install, installed_folder, list_bundles
from StrokeSegLib.models.writing import write_bundle

__all__ = [
    "ModelBundle",
    "default_bundle",
    "default_hashes",
    "find_bundle",
    "install",
    "installed_folder",
    "list_bundles",
    "make_default",
    "open_bundle",
    "verify",
    "write_bundle",
]
