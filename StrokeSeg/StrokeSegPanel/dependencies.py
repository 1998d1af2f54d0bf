"""The Python packages that the library needs beyond Slicer's own: which are missing, and how they are installed."""

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

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
    "jinja2": "Jinja2>=3.1",
    "PIL": "Pillow>=10",
    "highdicom": "highdicom>=0.24",
    "reportlab": "reportlab>=4.0",
    "filelock": "filelock>=3.12",
    "pydantic": "pydantic>=2.5",
}
"""Requirement by the name it is imported under."""

KEPT = ("numpy", "SimpleITK", "vtk", "pydicom", "torch", "torchvision")
"""Distributions that pip must not replace once they are installed."""


OTHERS_MB, TORCH_GB, TORCH_GPU_GB = 65, 0.2, 3
"""Size of the downloads (wheels for Linux, November 2026); PyTorch without and with a graphics card's libraries."""

LEAST_TORCH = ">=2.2"


def missing() -> list[str]:
    """Requirements that cannot be imported."""
    importlib.invalidate_caches()
    return [requirement for name, requirement in (TORCH | OTHERS).items() if importlib.util.find_spec(name) is None]


def needs_torch(requirements: list[str]) -> bool:
    """Whether PyTorch is among them."""
    return any(requirement in TORCH.values() for requirement in requirements)


def without_torch(requirements: list[str]) -> list[str]:
    """Requirements that pip can install directly."""
    return [requirement for requirement in requirements if requirement not in TORCH.values()]


def has_torch_extension() -> bool:
    """Whether the extension that installs the right PyTorch for this computer is available."""
    return importlib.util.find_spec("PyTorchUtils") is not None


def install_torch() -> None:
    """Have the PyTorch extension install PyTorch, after the user's consent; blocks until done.

    Raises:
        Exception: what the extension raises.
    """
    import PyTorchUtils

    PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=LEAST_TORCH)


def pip_arguments(requirements: list[str], constraints: Path, wheels: Path | None) -> list[str]:
    """Arguments of Python that install requirements and replace nothing that Slicer brings.

    Args:
        requirements: as pip takes them.
        constraints: file that is written with the versions that stay.
        wheels: folder to install from without network; None for the package index.
    """
    constraints.write_text("\n".join(_kept_versions()), encoding="utf-8")
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--constraint", str(constraints)]
    return ["-m", "pip", "install", *options, *source, *requirements]


def download_command(requirements: list[str]) -> str:
    """Command that downloads the wheels on a computer with internet access."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    quoted = " ".join(f'"{requirement}"' for requirement in requirements)
    return f"{python} -m pip download --only-binary=:all: --dest wheels {quoted}"


def _kept_versions() -> list[str]:
    versions = []
    for name in KEPT:
        try:
            versions.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
