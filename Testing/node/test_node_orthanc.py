"""Orthanc, an archive of hospitals, sends a scan to a node and shows its results beside it."""

import io
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from nodes import SCANNER, TITLE, NodeProcess, free_port, study, wait_for

ORTHANC = shutil.which("Orthanc")

pytestmark = pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed (Debian package orthanc)")

UID = "1.2.826.0.1.3680043.10.80"


class Orthanc:
    """An Orthanc server with a storage of its own, spoken to by its REST interface."""

    def __init__(self, folder: Path, node_port: int, dicom_port: int):
        self._http = free_port()
        self._config = folder / "orthanc.json"
        settings = {
            "StorageDirectory": str(folder / "orthanc"),
            "IndexDirectory": str(folder / "orthanc"),
            "Plugins": [],
            "HttpPort": self._http,
            "AuthenticationEnabled": False,
            "DicomPort": dicom_port,
            "DicomAet": SCANNER,
            "DicomModalities": {"node": [TITLE, "127.0.0.1", node_port]},
        }
        self._config.write_text(json.dumps(settings))

    def __enter__(self) -> "Orthanc":
        self._process = subprocess.Popen(
            [ORTHANC, str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False

    def ask(self, path: str, content: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", content) as answer:
            return answer.read()

    def objects(self, modality: str) -> list[bytes]:
        """Files of the one study's series of a modality."""
        (found,) = json.loads(self.ask("/studies"))
        series = [json.loads(self.ask(f"/series/{one}")) for one in json.loads(self.ask(f"/studies/{found}"))["Series"]]
        instances = [
            one for each in series if each["MainDicomTags"]["Modality"] == modality for one in each["Instances"]
        ]
        return [self.ask(f"/instances/{one}/file") for one in instances]


def test_the_results_lie_beside_the_scan_in_orthanc(tmp_path):
    files, port = study(tmp_path / "scan", UID), free_port()
    with NodeProcess(tmp_path, {"orthanc": port}) as node, Orthanc(tmp_path, node.port, port) as orthanc:
        for file in files:
            orthanc.ask("/instances", file.read_bytes())
        (scan,) = json.loads(orthanc.ask("/studies"))
        orthanc.ask("/modalities/node/store", scan.encode())
        wait_for(lambda: node.states()["done"])
        assert len(orthanc.objects("CT")) == len(files)
        assert [len(orthanc.objects(modality)) for modality in ("SR", "DOC")] == [1, 1]
        assert orthanc.objects("OT")
        kept = {file.read_bytes() for file in node.results()[0].rglob("objects/dicom/**/seg-*.dcm")}
        segmentations = [pydicom.dcmread(io.BytesIO(content)) for content in orthanc.objects("SEG")]
        assert len(segmentations) == len(kept) > 0
        voxels = {pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID: content for content in kept}
        for segmentation in map(hd.seg.Segmentation.from_dataset, segmentations):
            own = pydicom.dcmread(io.BytesIO(voxels[segmentation.SOPInstanceUID]))
            assert (segmentation.pixel_array == own.pixel_array).all()
