"""The model that a method runs with where none is named: the shipped one, or the one that the user has chosen."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from StrokeSegLib.errors import BundleError
from StrokeSegLib.models.bundle import ModelBundle
from StrokeSegLib.models.store import SHIPPED, installed_folder, list_bundles
from StrokeSegLib.storage.atomic import atomic

FILE = "defaults.json"
"""Name and version by method, beside the bundles, shipped or installed."""


def default_bundle(method: str) -> ModelBundle:
    """The user's default for a method, or else the shipped one, or else the only model that there is for it.

    Raises:
        BundleError: there is none, the chosen one is gone, or there are several and none was chosen.
    """
    return _default_among(list_bundles(), method)


def default_hashes(bundles: Sequence[ModelBundle]) -> set[str]:
    """SHA-256 of those of the bundles, all that are known, that are the default of their method."""
    hashes = set()
    for method in {bundle.method for bundle in bundles}:
        with contextlib.suppress(BundleError):
            hashes.add(_default_among(bundles, method).sha256)
    return hashes


def make_default(bundle: ModelBundle) -> None:
    """Let a method run with this version of this model from now on, for this user.

    Raises:
        BundleError: the bundle is not among the shipped and installed ones.
        OutputError: the choice cannot be written.
    """
    if all(bundle.sha256 != known.sha256 for known in list_bundles()):
        raise BundleError(f"{bundle.name} {bundle.version} is not installed. Install it first.")
    store = installed_folder()
    content = {**_read(store), bundle.method: _identity(bundle)}
    with atomic(store) as place:
        place(FILE).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _default_among(bundles: Sequence[ModelBundle], method: str) -> ModelBundle:
    """See `default_bundle`; the newest version within a name comes first among the bundles."""
    chosen = {**_read(SHIPPED), **_read(installed_folder())}.get(method)
    candidates = [bundle for bundle in bundles if bundle.method == method]
    if chosen is not None:
        found = next((bundle for bundle in candidates if _identity(bundle) == chosen), None)
        if found is None:
            raise BundleError(
                f"The default model for {method}, {chosen['name']} {chosen['version']}, is no longer installed; "
                "choose another with “strokeseg models default NAME”."
            )
        return found
    if not candidates:
        raise BundleError(f"No model for {method} is installed. See “strokeseg models install” and “models import”.")
    names = {bundle.name for bundle in candidates}
    if len(names) > 1:
        raise BundleError(
            f"Several models for {method} are installed ({', '.join(sorted(names))}); name one, or choose the default "
            "with “strokeseg models default NAME”."
        )
    return candidates[0]


def _read(folder: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / FILE} cannot be read ({error}). Remove it to return to the defaults.") from error


def _identity(bundle: ModelBundle) -> dict[str, str]:
    return {"name": bundle.name, "version": bundle.version}
