"""How well the atlas agrees with independent atlases, and those with each other, as a table on stdout."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from StrokeSegLib import atlas
from StrokeSegLib.vocabulary.anatomy import Side, Tissue

CAPSULE = (Tissue.CAPSULE_ANTERIOR_LIMB, Tissue.CAPSULE_GENU, Tissue.CAPSULE_POSTERIOR_LIMB)


@dataclass(frozen=True)
class ReferenceAtlas:
    """A label map of somebody else: its file, and per structure its labels right and left."""

    name: str
    file: str
    structures: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


OWN = {
    "caudate": (Tissue.CAUDATE_HEAD, Tissue.CAUDATE_BODY),
    "lentiform nucleus": (Tissue.PUTAMEN, Tissue.PALLIDUM),
    "internal capsule": CAPSULE,
    "insula": (Tissue.INSULA,),
    "thalamus": (Tissue.THALAMUS,),
}

REFERENCES = (
    ReferenceAtlas(
        "blast-ct",
        "atlas_template_space.nii.gz",
        {
            "caudate": ((20,), (6,)),
            "lentiform nucleus": ((19,), (5,)),
            "insula": ((26,), (12,)),
            "thalamus": ((30,), (16,)),
        },
    ),
    ReferenceAtlas(
        "AAL",
        "aal.nii.gz",
        {
            "caudate": ((72,), (71,)),
            "lentiform nucleus": ((74, 76), (73, 75)),
            "insula": ((30,), (29,)),
            "thalamus": ((78,), (77,)),
        },
    ),
    # Without the retrolenticular part, which lies behind what ASPECTS calls the capsule. This copy's text file calls
    # right (17, 19) what its header puts on the left; the header is followed, since it agrees with the other two.
    ReferenceAtlas("JHU", "JHU-WhiteMatter-labels-1mm.nii.gz", {"internal capsule": ((18, 20), (17, 19))}),
)


@dataclass(frozen=True)
class Agreement:
    """Two masks of one structure: overlap, distance of the centroids, mean distance of the surfaces (both ways)."""

    dice: float
    centroid_mm: float
    surface_mm: float

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray) -> "Agreement":
        """Compare two boolean masks on a 1 mm grid; raises ``ValueError`` if either is empty."""
        if not first.any() or not second.any():
            raise ValueError("An empty mask cannot be compared.")
        centroids = [np.array(ndimage.center_of_mass(mask)) for mask in (first, second)]
        return cls(
            dice=float(2 * (first & second).sum() / (first.sum() + second.sum())),
            centroid_mm=float(np.linalg.norm(centroids[0] - centroids[1])),
            surface_mm=(_surface_distance(first, second) + _surface_distance(second, first)) / 2,
        )


def own_mask(structure: str, side: Side) -> np.ndarray:
    """Boolean mask of a structure of this atlas on its own grid."""
    head = atlas.load()
    mask = np.isin(head.tissue, OWN[structure])
    columns = head.geometry.to_patient(np.stack(np.meshgrid(0, 0, np.arange(mask.shape[2]), indexing="ij"), -1))
    on_left = columns[0, 0, :, 0] > 0
    return mask & (on_left if side is Side.LEFT else ~on_left)


def reference_mask(reference: ReferenceAtlas, structure: str, side: Side, folder: Path) -> np.ndarray:
    """Boolean mask of a structure of another atlas, by nearest neighbour on this atlas's grid."""
    head = atlas.load()
    image = sitk.ReadImage(folder / reference.file, sitk.sitkUInt8)
    size, geometry = head.tissue.shape[::-1], head.geometry
    origin = tuple(float(value) for value in geometry.positions_mm[0])
    on_grid = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkNearestNeighbor, origin, (1.0, 1.0, 1.0), np.eye(3).ravel().tolist()
    )
    right, left = reference.structures[structure]
    return np.isin(sitk.GetArrayViewFromImage(on_grid), left if side is Side.LEFT else right)


def _surface_distance(of: np.ndarray, to: np.ndarray) -> float:
    """Mean distance in mm of one mask's surface voxels to the other's."""
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (of, to)]
    return float(ndimage.distance_transform_edt(~surfaces[1])[surfaces[0]].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, help="folder with the reference atlases")
    folder = parser.parse_args().reference
    print(
        f"{'structure':18s} {'side':5s} {'pair':22s} {'Dice':>5s} {'centroid mm':>11s} {'surface mm':>10s} {'ml':>11s}"
    )
    for structure in OWN:
        for side in Side:
            masks = {"own": own_mask(structure, side)}
            for reference in REFERENCES:
                if structure in reference.structures:
                    masks[reference.name] = reference_mask(reference, structure, side, folder)
            names = list(masks)
            for number, first in enumerate(names):
                for second in names[number + 1 :]:
                    found = Agreement.between(masks[first], masks[second])
                    volumes = f"{masks[first].sum() / 1000:.1f} / {masks[second].sum() / 1000:.1f}"
                    print(
                        f"{structure:18s} {side.value:5s} {first + ' – ' + second:22s} {found.dice:5.2f} "
                        f"{found.centroid_mm:11.1f} {found.surface_mm:10.1f} {volumes:>11s}"
                    )


if __name__ == "__main__":
    main()
