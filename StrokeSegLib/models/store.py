"""Where bundles lie: shipped with the package, or installed for this user."""

import hashlib
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from StrokeSegLib.errors import BundleError
from StrokeSegLib.models.bundle import LARGEST_FILE_BYTES, Check, ModelBundle, open_bundle, verify

SHIPPED = Path(__file__).with_name("bundles")
STORE_VARIABLE = "STROKESEG_MODELS"
"""Environment variable that moves the installed bundles elsewhere."""

CHUNK_BYTES = 1 << 20


def installed_folder() -> Path:
    """Where this user's bundles are installed."""
    if STORE_VARIABLE in os.environ:
        return Path(os.environ[STORE_VARIABLE])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "StrokeSeg" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "StrokeSeg" / "models"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "strokeseg" / "models"


def list_bundles() -> list[ModelBundle]:
    """Every shipped and installed bundle that can be opened, newest version first within a name."""
    folders = [
        folder
        for store in (SHIPPED, installed_folder())
        if store.is_dir()
        for folder in store.iterdir()
        if (folder / "bundle.json").is_file() and not folder.name.startswith(".")
    ]
    bundles = []
    for folder in folders:
        try:
            bundles.append(open_bundle(folder))
        except BundleError:
            # One damaged bundle must not hide the others; `models verify` says what is wrong with it.
            continue
    return sorted(bundles, key=lambda bundle: (bundle.name, _version(bundle)), reverse=True)


def find_bundle(name_or_path: str | Path) -> ModelBundle:
    """A bundle by path, or by name the newest version of it.

    Raises:
        BundleError: there is none; the sentence says which there are.
    """
    if Path(name_or_path).exists():
        return open_bundle(name_or_path)
    known = list_bundles()
    named = [bundle for bundle in known if bundle.name == str(name_or_path)]
    if named:
        return max(named, key=_version)
    names = ", ".join(sorted({bundle.name for bundle in known})) or "none"
    raise BundleError(f"Model “{name_or_path}” is neither a path nor installed. Installed models: {names}.")


def install(
    source: str | Path,
    check: Check,
    sha256: str | None = None,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> ModelBundle:
    """Put a bundle into this user's store; it appears there complete or not at all.

    Args:
        source: a folder, a zip file, or an http(s) or file URL of a zip file.
        check: see `verify`.
        sha256: SHA-256 of the zip file; required for a URL.
        progress: called with the fraction downloaded.

    Raises:
        BundleError: the source is missing, its hash differs, its bundle is damaged, or another one of the same name and
            version is installed.
    """
    store = installed_folder()
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=store) as folder:
            return _install(str(source), check, sha256, store, Path(folder), progress)
    except OSError as error:
        raise BundleError(f"The model cannot be installed in {store} ({error.strerror or error}).") from error


def _install(
    source: str,
    check: Check,
    sha256: str | None,
    store: Path,
    folder: Path,
    progress: Callable[[float, str], None],
) -> ModelBundle:
    local = Path(source)
    if source.startswith(("http://", "https://", "file://")):
        if sha256 is None:
            raise BundleError("A model from a URL needs its --sha256, so that the download can be verified.")
        local = _downloaded(source, folder / "download.zip", progress)
    elif not local.exists():
        raise BundleError(f"{source} does not exist.")
    if sha256 is not None:
        if local.is_dir():
            raise BundleError("--sha256 applies to a zip file or URL, not to a folder.")
        if _file_sha256(local) != sha256.lower():
            raise BundleError("The file does not match the --sha256 and was not installed.")
    unpacked = folder / "bundle"
    if local.is_dir():
        shutil.copytree(local, unpacked, symlinks=True)
    else:
        _unpack(local, unpacked)
    bundle = verify(unpacked, check)
    target = store / f"{bundle.name}-{bundle.version}"
    if target.exists():
        installed = verify(target, check)
        if installed.sha256 == bundle.sha256:
            return installed
        raise BundleError(f"A different {bundle.name} {bundle.version} is already installed. Remove {target} first.")
    os.replace(unpacked, target)
    return open_bundle(target)


def _downloaded(url: str, file: Path, progress: Callable[[float, str], None]) -> Path:
    try:
        with urllib.request.urlopen(url, timeout=30) as response, open(file, "wb") as target:
            total = int(response.headers.get("Content-Length") or 0)
            received = 0
            while chunk := response.read(CHUNK_BYTES):
                received += len(chunk)
                if received > LARGEST_FILE_BYTES:
                    raise BundleError(f"{url} is too large for a model.")
                target.write(chunk)
                progress(received / total if total else 0.0, "downloading the model")
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise BundleError(
            f"{url} cannot be downloaded ({reason}). Download it yourself and install the file."
        ) from error
    return file


def _unpack(archive: Path, folder: Path) -> None:
    """The regular files of a zip file, which lie at its top level or together in one folder; all else is refused."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as content:
            entries = {PurePosixPath(entry.filename.replace("\\", "/")): entry for entry in content.infolist()}
            files = {path: entry for path, entry in entries.items() if not entry.is_dir()}
            parents = {path.parent for path in files}
            within_one = (
                len(parents) == 1 and len(next(iter(parents)).parts) <= 1 and ".." not in str(next(iter(parents)))
            )
            if not within_one or any(path.is_absolute() for path in files):
                raise BundleError(f"{archive.name} is not a bundle: one of its files lies outside the bundle's folder.")
            for path, entry in files.items():
                if entry.file_size > LARGEST_FILE_BYTES:
                    raise BundleError(f"{path.name} of {archive.name} is too large for a model.")
                with content.open(entry) as packed, open(folder / path.name, "wb") as target:
                    shutil.copyfileobj(packed, target)
    except zipfile.BadZipFile as error:
        raise BundleError(f"{archive.name} is not a complete zip file.") from error


def _file_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _version(bundle: ModelBundle) -> tuple[int, ...]:
    return tuple(int(part) for part in bundle.version.split("."))
