"""A case folder read back: what a run found, and what a reader made of it.

Beside what a run writes (`segmentation.seg.nrrd`, `results.json`, maps) the folder may hold `ct.nrrd`, the scan without
its header, and of a reader's correction `corrected.seg.nrrd`, whose segments count by their names, and `corrected.json`
with the ``side`` and the ``overrides`` of ASPECTS regions (``[{"name", "side", "affected"}]``).
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from StrokeSegLib.cases import results_reading
from StrokeSegLib.cases.aspects_content import aspects_of
from StrokeSegLib.cases.segmentation_reading import SegmentationFile, read_segmentation, read_volume
from StrokeSegLib.cases.writing import CORRECTED, DECISIONS
from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import Findings, Segment, SegmentLayer
from StrokeSegLib.findings.correction import corrected
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionMaps, Study, read_study
from StrokeSegLib.imaging.archives import unpacked
from StrokeSegLib.imaging.dicom import study_of
from StrokeSegLib.imaging.dicom_choice import Choice
from StrokeSegLib.imaging.dicom_source import find_source
from StrokeSegLib.imaging.file_arrays import PAIR_SUFFIXES, SUFFIXES
from StrokeSegLib.measures.trial_criteria import ClinicalInputs, criteria_not_evaluable, trial_criteria
from StrokeSegLib.perfusion import Perfusion
from StrokeSegLib.vocabulary.anatomy import AspectsRegion, Side
from StrokeSegLib.vocabulary.terminology import TERMS

SEGMENTATION, RESULTS, SCAN = "segmentation.seg.nrrd", "results.json", "ct.nrrd"
"""What a run writes."""


def read_case(folder: Path, source: Path | None = None) -> Findings:
    """The findings in a case folder, as the reader corrected them where there is a correction.

    Args:
        folder: the output of a run.
        source: the scan, where the folder does not hold it: a DICOM folder, or the file that was segmented.

    Raises:
        CaseError: the folder is incomplete or damaged, its scan is not at hand, or correction or scan are of another.
        ImageError: the scan cannot be read.
    """
    folder = Path(folder)
    content = results_reading.read_results(folder / RESULTS)
    file = read_segmentation(folder / SEGMENTATION)
    study = _study(folder, content, file, source)
    layers = _layers(file, study, _segments_by_layer(file))
    findings = Findings(
        study=study,
        layers=layers,
        runs=tuple(results_reading.method_run(run) for run in content["methods"]),
        device=content["device"],
        warnings=tuple(content["warnings"]),
        timings_s=content["timings_s"],
        clinical=ClinicalInputs(**content.get("clinical", {})),
        aspects=aspects_of(content["aspects"]) if "aspects" in content else None,
    )
    if "perfusion" in content:
        mismatch = results_reading.mismatch(content["perfusion"])
        findings = replace(findings, perfusion=_perfusion(folder, content["perfusion"], study), mismatch=mismatch)
        if "criteria" in content:
            if mismatch is None:
                criteria = criteria_not_evaluable(findings.perfusion.not_evaluable)
            else:
                criteria = trial_criteria(mismatch, findings.clinical)
            findings = replace(findings, criteria=criteria)
    return _corrected(findings, folder, file)


def _corrected(findings: Findings, folder: Path, automatic: SegmentationFile) -> Findings:
    """The findings with the reader's labels and decisions, where there are any."""
    if not (folder / CORRECTED).exists() and not (folder / DECISIONS).exists():
        return findings
    overrides, side = _decisions(folder / DECISIONS)
    if not (folder / CORRECTED).exists():
        return corrected(findings, findings.layers, overrides, side)
    read = read_segmentation(folder / CORRECTED)
    by_layer = _segments_by_layer(automatic)
    names = [segment.name for layer in by_layer for segment in layer]
    added = dict.fromkeys(one.name for one in read.segments if one.name in TERMS and one.name not in names)
    # Each on a layer of its own: nothing says that they are disjoint.
    by_layer += [(Segment(name, 1),) for name in added]
    others = len(read.segments) - sum(map(len, read.assigned([*names, *added]).values()))
    result = corrected(findings, _layers(read, findings.study, by_layer), overrides, side)
    if others:
        note = f"The correction contains {others} segment{'s' * (others > 1)} with names unknown to StrokeSeg."
        result = replace(result, warnings=(*result.warnings, note))
    return result


def _decisions(path: Path) -> tuple[dict[AspectsRegion, bool], str]:
    """Overridden regions, and the side that the reader named or ``auto``."""
    if not path.exists():
        return {}, "auto"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        overrides = {
            AspectsRegion(one["name"], Side(one["side"])): bool(one["affected"]) for one in content.get("overrides", [])
        }
        side = content.get("side", "auto")
        if side not in ("auto", "left", "right") or any(region.label < 1 for region in overrides):
            raise ValueError(side)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaseError(f"{path} is damaged. Correct the case again.") from error
    return overrides, side


def _segments_by_layer(file: SegmentationFile) -> list[tuple[Segment, ...]]:
    return [
        tuple(Segment(one.name, one.label) for one in file.segments if one.layer == number)
        for number in range(len(file.layers))
    ]


def _layers(file: SegmentationFile, study: Study, by_layer: list[tuple[Segment, ...]]) -> tuple[SegmentLayer, ...]:
    """A file's segments on the acquired slices."""
    grid = study.grid
    return tuple(
        SegmentLayer(grid.to_slices(file.labels_on(grid.geometry, segments)), segments) for segments in by_layer
    )


def _study(folder: Path, content: dict, file: SegmentationFile, source: Path | None) -> Study:
    """The study on whose slices the case's labels lie."""
    slices = results_reading.stack(content["geometry"])
    on_grid = "grid" in content["geometry"]
    if slices is None and on_grid:
        raise CaseError(f"{folder} lacks the slice positions. Segment the scan again with this version.")
    study = Study(
        ct=Volume(file.layers[0].voxels, slices or file.grid),
        acquisition=results_reading.acquisition(content["acquisition"]),
        stored=file.stored,
        nominal_geometry=None if slices is None or on_grid else file.grid,
        choice=content["acquisition"]["choice"],
    )
    if not study.grid.geometry.coincides_with(file.grid):
        raise CaseError(f"{SEGMENTATION} and {RESULTS} in {folder} belong to different scans. Segment the scan again.")
    if (folder / SCAN).exists():
        hu = study.grid.to_slices(read_volume(folder / SCAN, study.grid.geometry))
    elif source is not None:
        hu = _scan(source, study, "perfusion" in content)
    else:
        raise CaseError(
            f"{folder} does not contain the scan. Pass it with --source, or segment again with --save-scan."
        )
    return replace(study, ct=Volume(hu, study.ct.geometry))


def _scan(source: Path, study: Study, is_perfusion: bool) -> np.ndarray:
    """HU ``(slice, row, column)`` of the scan that a case was made of."""
    with unpacked(source) as scan:
        if scan.is_file() and scan.name.lower().endswith(SUFFIXES + PAIR_SUFFIXES):
            read = read_study(scan)
            if read.ct.geometry.coincides_with(study.nominal_geometry or study.ct.geometry):
                return read.ct.voxels
            raise CaseError(f"{source.name} and the case have different voxel grids. Pass the scan that was segmented.")
        series = find_source(scan, study.ct.geometry, is_perfusion).series
        return study_of(Choice(series, study.choice, ())).ct.voxels


def _perfusion(folder: Path, content: dict, study: Study) -> Perfusion:
    def on_slices(name: str, grid: SliceGeometry = study.grid.geometry) -> np.ndarray:
        return study.grid.to_slices(read_volume(folder / f"{name}.nrrd", grid))

    maps = {name: on_slices(name) for name in ("cbf", "cbv", "mtt", "tmax")}
    measured = np.logical_or.reduce([values > 0 for values in maps.values()])
    return results_reading.perfusion(content, PerfusionMaps(**maps, measured=measured))
