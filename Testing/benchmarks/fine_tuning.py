"""A model fine-tuned on the corrections of ten synthetic patients, measured on ten others of the same scanner.

The scanner is none that the model learned from: coarser noise, a softer kernel, strong cupping and streaks, and HU that
differ less from tissue to tissue. The corrections go the whole way: segmented, corrected to the truth, exported, read.

`python Testing/benchmarks/fine_tuning.py --minutes 10`
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from StrokeSegLib import models
from StrokeSegLib.case import segment_case
from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.cases.segmentation import write_segmentation
from StrokeSegLib.datasets.adding import add_to_nifti
from StrokeSegLib.documents.requests import Case as ScanCase
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.phantom import LabelledStudy, Scanner, SyntheticStudy, acquire, axial_geometry, draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.storage.nifti import write_nifti
from Training.data.case import Case
from Training.evaluation.core_penumbra import evaluate
from Training.fine_tune import Figures, FineTuned, fine_tune, table

SCANNER = Scanner(
    noise_hu=5.0,
    noise_correlation_mm=1.3,
    blur_mm=1.2,
    sharpening=0.0,
    cupping_hu=5.0,
    shading_hu=1.8,
    streak_hu=16.0,
    motion_mm=0.0,
    table=True,
    circle=True,
    seed=0,
)

CONTRAST = 0.85
"""Of all HU, as of a high tube voltage."""

GEOMETRY = axial_geometry((22, 192, 160), (6.0, 1.2, 1.2))

LESIONS = ("m1", "m2", "m1", "m2", "random")

FIRST_SEED = 970_000_000
"""Above all seeds of training and its evaluations."""


def patient(number: int, lesion: str) -> SyntheticStudy:
    """A synthetic patient in this scanner."""
    scanner = replace(SCANNER, seed=number)
    scan = acquire(draw_patient(FIRST_SEED + number, PhantomOptions(lesion=lesion)), GEOMETRY, scanner)
    hu = scan.ct.voxels
    fainter = np.where(hu > -100, np.rint(hu * CONTRAST), hu).astype(np.int16)
    return replace(scan, ct=Volume(fainter, scan.ct.geometry))


def corrected_case(scan: SyntheticStudy, model: models.ModelBundle, folder: Path) -> None:
    """The case folder of a scan that was segmented by the model and corrected to the truth."""
    folder.mkdir(parents=True)
    write_nifti(scan.ct.voxels, scan.ct.geometry, folder / "scan.nii.gz")
    findings = segment_case(
        ScanCase(
            input=folder / "scan.nii.gz",
            output=folder / "case",
            methods=(model.method,),
            models=(str(model.path),),
            save_scan=True,
        ),
        lambda fraction, stage: None,
    )
    layers = (replace(findings.layers[0], labels=scan.labels), *findings.layers[1:])
    write_segmentation(replace(findings, layers=layers), folder / "case" / "corrected.seg.nrrd")


def as_case(number: int, scan: SyntheticStudy) -> Case:
    """A scan with its truth, to be measured on."""
    return Case(f"patient-{number}", f"patient-{number}", lambda: LabelledStudy(scan.study, scan.labels))


def measured(bundle: models.ModelBundle, cases: Sequence[Case]) -> Figures:
    """A model on cases that had no part in its training."""
    return Figures.of(evaluate(bundle, cases, "cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ncct-core-penumbra-painted")
    parser.add_argument("--patients", type=int, default=10, help="corrected, and as many others to measure on")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rehearse", type=int, default=0, help="synthetic patients of other scanners mixed in")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    old = models.find_bundle(options.model)
    lesions = list(islice(cycle(LESIONS), 2 * options.patients))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(options.patients):
            corrected_case(patient(number, lesions[number]), old, folder / f"patient-{number}")
            add_to_nifti(read_case(folder / f"patient-{number}" / "case"), f"patient-{number}", folder / "corrections")
        others = [
            as_case(number, patient(number, lesions[number]))
            for number in range(options.patients, 2 * options.patients)
        ]
        tuned = fine_tune(
            old,
            folder / "corrections",
            "pairs",
            folder / "tuned",
            settings=[f"optimisation.max_minutes={options.minutes}", *options.set],
            rehearsed_patients=options.rehearse,
            even_if_not_better=True,
            device="cpu",
        )
        print(f"the held-out of the {options.patients} corrections:")
        print(table(tuned))
        before, after = measured(old, others), measured(tuned.bundle, others)
        print(f"{len(others)} other patients of the same scanner:")
        print(table(FineTuned(tuned.bundle, before, after, len(others))))


if __name__ == "__main__":
    main()
