"""OpenVINO: networks compiled for a shape of batch, and kept on disk for the next process."""

import hashlib
import importlib.metadata
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from StrokeSegLib.models import installed_folder

if TYPE_CHECKING:
    import openvino

logger = logging.getLogger(__name__)

SWITCH = "STROKESEG_OPENVINO"
"""Environment variable that leaves everything to torch where it is ``off``."""

FOLDER = ".compiled"
"""Folder of saved compilations, among the installed models; losing it costs seconds."""

MOST_KEPT = 16
"""Compilations kept on disk, 20 to 40 MB each with the shipped models; the oldest go first."""

TRACED_SIDE = 64
"""Voxels along each axis of the image with which a network is traced; the graph serves every size."""


def available() -> bool:
    """Whether OpenVINO is installed and not switched off."""
    if os.environ.get(SWITCH) == "off":
        return False
    try:
        _openvino()
    except ModuleNotFoundError:
        return False
    except (ImportError, OSError) as error:
        logger.warning("OpenVINO is installed but cannot be loaded; torch runs the networks: %s", error)
        return False
    return True


def version() -> str:
    """As ``2026.4.1``."""
    return importlib.metadata.version("openvino")


class Compilation:
    """A network compiled for one shape of batch, in float32."""

    def __init__(self, model: "openvino.CompiledModel"):
        self._model = model
        self._request = model.create_infer_request()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """What the network gives for images of that shape."""
        return torch.from_numpy(self._request.infer([images.contiguous().numpy()], share_inputs=True)[0])

    def keep(self, name: str) -> None:
        """Write it to disk completely or not at all; a disk that cannot be written is not an error."""
        folder = installed_folder() / FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".keeping-", dir=folder) as partial:
                file = Path(partial) / name
                file.write_bytes(self._model.export_model().getbuffer())
                os.replace(file, folder / name)
            for old in sorted(folder.glob("*.blob"), key=os.path.getmtime)[:-MOST_KEPT]:
                old.unlink()
        except OSError as error:
            logger.info("The compiled network could not be saved: %s", error)


def name_of(weights_sha256: str, shape: torch.Size) -> str:
    """A file name for the compilation of a network for a shape of batch, by this OpenVINO on this processor."""
    processor = _openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
    described = repr((weights_sha256, tuple(shape), version(), processor))
    return f"{hashlib.sha256(described.encode()).hexdigest()}.blob"


def kept(name: str) -> Compilation | None:
    """What an earlier process compiled, if it is there and of use."""
    try:
        content = (installed_folder() / FOLDER / name).read_bytes()
        return Compilation(_openvino().Core().import_model(content, "CPU", _properties()))
    except (OSError, RuntimeError) as error:
        logger.debug("The saved compilation cannot be used: %s", error)
        return None


def compile_network(network: torch.nn.Module, shape: torch.Size) -> Compilation:
    """Compile a network for batches of a shape.

    Raises:
        RuntimeError: OpenVINO cannot.
    """
    openvino = _openvino()
    example = torch.zeros(1, shape[1], *[TRACED_SIDE] * (len(shape) - 2))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Tracing is deprecated in torch, and OpenVINO's way in.
            model = openvino.convert_model(network, example_input=example, input=[tuple(shape)])
    except openvino.frontend.OpConversionFailure as error:
        raise RuntimeError(str(error)) from error
    return Compilation(openvino.Core().compile_model(model, "CPU", _properties()))


def _openvino() -> ModuleType:
    """OpenVINO, which tells its makers of every import and conversion unless its telemetry package is missing."""
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def _properties() -> dict[str, object]:
    """Float32, as many threads as torch has, and none tied to a core that another process may use."""
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,
    }
