"""Small heads with maps and a lesion in the ISLES 2018 layout."""

from pathlib import Path

import nibabel
import numpy as np
from perfused import perfused_study


def write_isles(folder: Path, cases: int = 3) -> Path:
    """``TRAINING/case_1 …``, every file with an id of its own; the lesion is where flow is low."""
    for number in range(1, cases + 1):
        study = perfused_study()
        maps = study.maps
        lesion = (maps.measured & (maps.cbf < 20)).astype(np.uint8)
        volumes = {"CT": study.ct.voxels, "CT_CBF": maps.cbf, "CT_CBV": maps.cbv, "CT_MTT": maps.mtt}
        volumes |= {"CT_Tmax": maps.tmax, "OT": lesion}
        for place, (modality, voxels) in enumerate(volumes.items()):
            name = f"SMIR.Brain.XX.O.{modality}.{1000 * number + place}"
            file = folder / "TRAINING" / f"case_{number}" / name / f"{name}.nii"
            file.parent.mkdir(parents=True)
            geometry = study.ct.geometry
            affine = np.diag([-geometry.pixel_spacing_mm[1], -geometry.pixel_spacing_mm[0], 10.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), affine), file)
    return folder
