"""The Python packages that the library needs beyond Slicer's own: which are missing, and their installation."""

import importlib
import importlib.metadata
import importlib.util
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

TORCH = {"torch": "torch>=2.2", "torchvision": "torchvision"}
"""Installed by the PyTorch extension, which finds the build for this computer's graphics card."""

OTHERS = {
    "numpy": "numpy>=1.26",
    "SimpleITK": "SimpleITK>=2.3",
    "pydicom": "pydicom>=3.0",
    "nibabel": "nibabel>=5.0",
    "scipy": "scipy>=1.11",
    "skimage": "scikit-image>=0.22",
    "segmentation_models_pytorch": "segmentation-models-pytorch>=0.5",
    "safetensors": "safetensors>=0.4",
    "nrrd": "pynrrd>=1.0",
    "jsonschema": "jsonschema>=4.20",
    "jinja2": "Jinja2>=3.1",
    "PIL": "Pillow>=10",
    "highdicom": "highdicom>=0.24",
    "reportlab": "reportlab>=4.0",
    "filelock": "filelock>=3.12",
}
"""Requirement by the name it is imported under."""

KEPT = ("numpy", "SimpleITK", "vtk", "pydicom", "torch", "torchvision")
"""Distributions that pip must not replace once they are there."""


class InstallationError(Exception):
    """The packages could not be installed; the message tells the user what to do."""


def missing() -> list[str]:
    """Requirements that cannot be imported."""
    return [requirement for name, requirement in (TORCH | OTHERS).items() if importlib.util.find_spec(name) is None]


def install() -> None:
    """Install what is missing; the user has agreed to it. Blocks until done.

    Raises:
        InstallationError: the PyTorch extension is missing, or pip fails.
    """
    wanted = missing()
    try:
        if any(requirement in wanted for requirement in TORCH.values()):
            _install_torch()
        others = [requirement for requirement in OTHERS.values() if requirement in wanted]
        if others:
            _install_others(others)
    except InstallationError:
        raise
    except Exception as error:
        raise InstallationError(_("The packages could not be installed: {reason}").format(reason=error)) from error
    importlib.invalidate_caches()
    if missing():
        raise InstallationError(
            _("Still missing: {packages}. Restart Slicer and try again.").format(packages=", ".join(missing()))
        )


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise InstallationError(
            _("Install the “PyTorch” extension in the Extensions Manager, restart Slicer and press Install again.")
        ) from error
    PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=">=2.2")


def _install_others(requirements: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="strokeseg-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(_kept_versions()), encoding="utf-8")
        slicer.util.pip_install([*requirements, "--constraint", str(constraints)])


def _kept_versions() -> list[str]:
    versions = []
    for name in KEPT:
        try:
            versions.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
