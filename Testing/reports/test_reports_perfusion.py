"""What is written of a CT perfusion study: maps, numbers, pictures; with a mismatch and without."""

import json

import nrrd
import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib.cases.writing import write
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionMaps, PerfusionSeries, Study
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import ClinicalInputs, trial_criteria
from StrokeSegLib.perfusion import BloodCurve, Motion, Perfusion
from StrokeSegLib.vocabulary.map_scales import SCALES

SHAPE = (4, 80, 72)
TIMES_S = np.arange(30) * 1.5


def found(mismatch: Mismatch | None, clinical: ClinicalInputs | None = None) -> Findings:
    """A head with curves in two vessels, and boxes as findings where there is a mismatch."""
    geometry = centred_geometry(SHAPE, (8.0, 2.4, 2.4))
    hu = ellipsoid_head(geometry, noise_hu=2.0)
    brain = (hu > 0) & (hu < 100)
    random = np.random.default_rng(0)
    maps = PerfusionMaps(*((random.random(SHAPE) * brain).astype(np.float32) * top for top in (60, 6, 20, 12)), brain)
    bolus = 300 * np.exp(-(((TIMES_S - 15) / 4) ** 2))
    artery = BloodCurve(bolus, np.array([[1, 40, 30], [1, 40, 31], [1, 42, 50]]), (1.0, 2.0, 3.0))
    perfusion = Perfusion(
        maps=maps,
        times_s=TIMES_S,
        artery=artery,
        vein=BloodCurve(np.roll(bolus, 4), np.zeros((0, 3), int), None),
        motion=Motion(np.full((30, 3), 0.1), np.zeros((30, 3)), (7,)),
        coverage_mm=32.0,
        flags=("The slices cover 32 mm of the head; volumes refer to this part only.",),
    )
    series = PerfusionSeries(np.repeat(hu[..., None], 30, axis=-1), np.tile(TIMES_S, (4, 1)))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 30:50, 20:30], labels[1:3, 35:45, 22:28] = 2, 1
    tissue = SegmentLayer(labels, (Segment("core", 1), Segment("penumbra", 2)))
    hypoperfused = SegmentLayer((labels > 0).astype(np.uint8) * 3, (Segment("hypoperfused", 3),))
    clinical = clinical or ClinicalInputs()
    prediction = {"core_relative_cbf": 0.3}
    origin = {"training_data": "none: published thresholds"}
    return Findings(
        study=Study(ct=Volume(hu, geometry), series=series),
        layers=(tissue, hypoperfused) if mismatch else (),
        runs=(MethodRun("ctp-threshold", "a", "1", "0" * 64, "none", "research", origin, {}, {}, prediction),),
        device="cpu",
        warnings=perfusion.flags,
        perfusion=perfusion,
        mismatch=mismatch,
        clinical=clinical,
        criteria=trial_criteria(mismatch, clinical) if mismatch else (),
    )


STROKE = Mismatch(20.0, 100.0, 100.0, 25.0, {4.0: 130.0, 6.0: 100.0, 8.0: 60.0, 10.0: 25.0}, 0.7, 45.0, 3.1, "left")
NO_CORE = Mismatch(0.0, 0.0, 0.0, 0.0, {6.0: 0.0}, None, 45.0, 3.1, None)


def results_of(findings: Findings, folder) -> dict:
    write(findings, folder)
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_results_hold_volumes_ratios_curves_and_criteria(tmp_path):
    results = results_of(found(STROKE, ClinicalInputs(age_years=70, nihss=15, hours=8)), tmp_path)
    perfusion = results["perfusion"]
    assert perfusion["tmax_ml"] == {"4": 130, "6": 100, "8": 60, "10": 25}
    assert (perfusion["mismatch_ml"], perfusion["mismatch_ratio"]) == (80, 5)
    assert perfusion["hypoperfusion_intensity_ratio"] == 0.25
    assert max(perfusion["artery"]["hu"]) == pytest.approx(300)
    assert perfusion["artery"]["voxels"][2] == [1, 42, 50]
    assert perfusion["vein"]["place_mm"] is None
    assert perfusion["motion"]["rejected_frames"] == [7]
    assert results["criteria"] == {
        "DEFUSE 3": True,
        "EXTEND-IA": True,
        "DAWN": True,
        "SELECT2": "not evaluable",
        "ANGEL-ASPECT": "not evaluable",
    }
    assert results["clinical"] == {"age_years": 70, "nihss": 15, "hours": 8}


def test_ratios_without_core_are_undefined_and_what_was_not_given_is_not_written(tmp_path):
    results = results_of(found(NO_CORE), tmp_path)
    for ratio in ("mismatch_ratio", "hypoperfusion_intensity_ratio", "cbv_index"):
        assert results["perfusion"][ratio] == "undefined"
    assert "clinical" not in results
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "undefined" in html
    assert "inf" not in html.split("<table>")[1].split("</table>")[0]


def test_maps_are_written_as_they_are_on_the_grid_of_the_segmentation(tmp_path):
    findings = found(STROKE)
    write(findings, tmp_path)
    _, segmentation = nrrd.read(str(tmp_path / "segmentation.seg.nrrd"), index_order="C")
    for name in ("cbf", "cbv", "mtt", "tmax"):
        values, header = nrrd.read(str(tmp_path / f"{name}.nrrd"), index_order="C")
        np.testing.assert_array_equal(values, getattr(findings.perfusion.maps, name))
        assert values.dtype == np.float32
        np.testing.assert_allclose(header["space directions"], segmentation["space directions"][-3:])


def test_the_report_shows_all_maps_of_the_key_slices_with_scales_curves_and_places(tmp_path):
    write(found(STROKE), tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for scale in SCALES:
        assert html.count(f"{scale.title} of slice") == 2
    assert "linear-gradient" in html
    assert html.count("<polyline") == 2
    assert "rings around the artery" in html
    assert "rings around the vein" not in html
    assert "100.0 ml" in html
    assert "no network" in html
    assert "http" not in html


def test_maps_without_a_mismatch_are_a_report_without_segments(tmp_path):
    results = results_of(found(None), tmp_path)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"cbf.nrrd", "cbv.nrrd", "mtt.nrrd", "tmax.nrrd", "report.html", "results.json"}
    assert results["volumes_ml"] == {}
    assert "criteria" not in results
    assert "Mismatch" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("value", "part"), [(0.0, 0), (60.0, -1), (1000.0, -1)])
def test_a_scale_is_fixed_from_0_to_its_maximum(value, part):
    from StrokeSegLib.vocabulary.map_scales import RAINBOW

    cbf = SCALES[0]
    assert tuple(cbf.coloured(np.array([[value]]))[0, 0]) == RAINBOW[part][1]
