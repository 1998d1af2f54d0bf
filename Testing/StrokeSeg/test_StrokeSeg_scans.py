"""A CT perfusion series of a scene of Slicer's own libraries reaches the library as it was, whatever node holds it."""

import types

import numpy as np
import pytest
from scans import centred_geometry
from slicer_scene import add_four_dimensional, add_sequence, ras_of
from update_cmake_lists import REPOSITORY

from StrokeSegLib.imaging import read_study
from StrokeSegLib.imaging.frames import SHORTEST_SERIES

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")

GEOMETRY = centred_geometry((3, 64, 70), (8.0, 2.5, 2.0))
TIMES_S = np.array([0, 1.5, 3, 4.5, 6, 8, 10, 14, 18, 24])
FRAMES = np.random.default_rng(1).integers(-1000, 200, (*GEOMETRY.shape, len(TIMES_S))).astype(np.int16)


@pytest.fixture
def scene(slicer_scene, monkeypatch):
    import slicer

    monkeypatch.syspath_prepend(str(REPOSITORY / "StrokeSeg"))
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    monkeypatch.setitem(__import__("sys").modules, "slicer.i18n", i18n)
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLApplicationLogic(slicer_scene.logics[0])
    logic.SetMRMLScene(slicer_scene)
    modules = types.SimpleNamespace(sequences=types.SimpleNamespace(logic=lambda: logic))
    monkeypatch.setattr(slicer, "modules", modules, raising=False)
    return slicer_scene


def written(series, folder):
    """The study that the library reads of a series handed over."""
    from StrokeSegPanel.handover import write_series

    for _ in write_series(series, folder / "scan.seq.nrrd"):
        pass
    return read_study(folder / "scan.seq.nrrd")


@pytest.mark.parametrize("chosen", ["sequence", "volume"])
def test_a_sequence_is_read_as_it_is_shown_whichever_of_its_nodes_is_chosen(scene, tmp_path, chosen):
    from StrokeSegPanel.scans import series_of

    sequence, volume = add_sequence(scene, FRAMES, TIMES_S, GEOMETRY)
    series = series_of(sequence if chosen == "sequence" else volume)
    assert series.volume is volume
    study = written(series, tmp_path)
    np.testing.assert_array_equal(study.series.voxels, FRAMES)
    np.testing.assert_allclose(study.series.times_s, np.broadcast_to(TIMES_S, (3, 10)))
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm)


def test_a_four_dimensional_volume_is_read_with_the_times_that_it_says(scene, tmp_path):
    from StrokeSegPanel.scans import series_of

    series = series_of(add_four_dimensional(scene, FRAMES, 1000 * TIMES_S, GEOMETRY))
    study = written(series, tmp_path)
    np.testing.assert_array_equal(study.series.voxels, FRAMES)
    np.testing.assert_allclose(study.series.times_s[0], TIMES_S)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm)


def test_the_file_is_one_that_slicer_itself_reads_as_a_sequence(scene, tmp_path):
    import slicer
    from StrokeSegPanel.handover import write_series
    from StrokeSegPanel.scans import series_of

    sequence, _ = add_sequence(scene, FRAMES, TIMES_S, GEOMETRY)
    for _ in write_series(series_of(sequence), tmp_path / "scan.seq.nrrd"):
        pass
    read = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    storage.SetFileName(str(tmp_path / "scan.seq.nrrd"))
    assert storage.ReadData(read)
    assert [float(read.GetNthIndexValue(frame)) for frame in range(10)] == TIMES_S.tolist()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(read.GetNthDataNode(7)), FRAMES[..., 7])


def test_an_oblique_volume_keeps_its_place(scene, tmp_path):
    import slicer
    from StrokeSegPanel.handover import write_volume

    turn = np.radians(12)
    oblique = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    geometry = centred_geometry((3, 64, 70), (8.0, 2.5, 2.0), oblique)
    volume = slicer.util.addVolumeFromArray(FRAMES[..., 0].astype(np.float32), ras_of(geometry))
    for _ in write_volume(volume, tmp_path / "scan.nrrd"):
        pass
    study = read_study(tmp_path / "scan.nrrd")
    np.testing.assert_allclose(study.ct.geometry.positions_mm, geometry.positions_mm, atol=1e-9)
    np.testing.assert_array_equal(study.ct.voxels, FRAMES[..., 0])


def test_a_large_series_is_written_in_many_small_parts(scene, tmp_path, monkeypatch):
    from StrokeSegPanel import handover, scans

    monkeypatch.setattr(scans, "SLAB_BYTES", FRAMES[0, ..., 0].nbytes)
    sequence, _ = add_sequence(scene, FRAMES, TIMES_S, GEOMETRY)
    parts = handover.write_series(scans.series_of(sequence), tmp_path / "scan.seq.nrrd")
    assert len(list(parts)) == FRAMES.shape[0] * FRAMES.shape[-1]
    np.testing.assert_array_equal(read_study(tmp_path / "scan.seq.nrrd").series.voxels, FRAMES)


def test_frames_of_another_size_or_place_are_refused_by_number(scene, tmp_path):
    import slicer
    from StrokeSegPanel.handover import write_series
    from StrokeSegPanel.scans import UnusableScanError, series_of

    sequence, _ = add_sequence(scene, FRAMES, TIMES_S, GEOMETRY)
    sequence.GetNthDataNode(4).SetOrigin(0, 0, 5)
    with pytest.raises(UnusableScanError, match="Frame 5 of “CTP” has a different position"):
        write_series(series_of(sequence), tmp_path / "scan.seq.nrrd")
    slicer.util.updateVolumeFromArray(sequence.GetNthDataNode(2), FRAMES[:2, ..., 2].copy())
    with pytest.raises(UnusableScanError, match="Frame 3 of “CTP” has 2×64×70 voxels"):
        write_series(series_of(sequence), tmp_path / "scan.seq.nrrd")


def test_a_volume_alone_and_a_short_sequence_are_no_series(scene):
    import slicer
    from StrokeSegPanel import scans

    assert scans.SHORTEST_SERIES == SHORTEST_SERIES
    assert scans.series_of(None) is None
    assert scans.series_of(slicer.util.addVolumeFromArray(FRAMES[..., 0].copy())) is None
    sequence, volume = add_sequence(scene, FRAMES[..., :3], TIMES_S[:3], GEOMETRY)
    assert scans.series_of(volume) is None
    assert scans.shown_volume(sequence) is volume
