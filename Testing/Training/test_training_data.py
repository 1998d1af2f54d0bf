"""Data sets on disk as cases: HU, geometry, labels, splits, and what is said of broken ones."""

import json
from functools import partial

import numpy as np
import pytest
import SimpleITK as sitk
from cpaisd import head_with_stroke, write_cpaisd, write_study
from PIL import Image
from scans import SHARED_DATA, centred_geometry, ellipsoid_head, write_series

from StrokeSegLib.errors import DataError
from StrokeSegLib.methods.ncct_core_penumbra import Preparation, prepare
from StrokeSegLib.phantom import write_cpaisd_dataset
from Training.data import cpaisd, nnunet, pairs, png_slices
from Training.data.case import Case
from Training.data.preparing import Sample
from Training.data.sources import open_source
from Training.data.splits import split
from Training.data.synthetic import synthetic_ct
from Training.learning.augmentation import augmented
from Training.learning.live_patients import LivePatients
from Training.learning.loading import measured_constants
from Training.recipes.recipe import AugmentationSettings, DataSettings
from Training.tasks.trainable import TRAINABLE


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "train" / "patient")
    return tmp_path / "train" / "patient"


def test_a_cpaisd_study_keeps_its_hu_labels_and_slice_order(tmp_path, study):
    # The second slice becomes the lowest.
    (study / "00001" / "metadata.json").write_text(json.dumps({"slice_location": -500.0}))
    labelled = cpaisd.cases(tmp_path)[0].read()
    hu, labels = head_with_stroke(0)
    np.testing.assert_array_equal(labelled.study.ct.voxels, hu[[1, 0, 2, 3]])
    np.testing.assert_array_equal(labelled.labels, labels[[1, 0, 2, 3]])
    np.testing.assert_allclose(labelled.study.ct.geometry.heights_mm, [-500, -100, -84, -76])


def test_a_mask_value_other_than_core_and_penumbra_is_refused(tmp_path, study):
    np.savez(study / "00002" / "mask.npz", mask=np.full((96, 96), 3, np.uint8))
    with pytest.raises(DataError, match="Case patient: the mask contains the value 3"):
        cpaisd.cases(tmp_path)[0].read()


def test_a_slice_without_mask_is_refused(tmp_path, study):
    (study / "00002" / "mask.npz").unlink()
    with pytest.raises(DataError, match=r"Case patient: slice 00002 lacks mask\.npz"):
        cpaisd.cases(tmp_path)[0].read()


def test_a_mask_of_another_size_is_refused(tmp_path, study):
    for place in study.glob("0*"):
        np.savez(place / "mask.npz", mask=np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match="both must have the same grid"):
        cpaisd.cases(tmp_path)[0].read()


def test_a_damaged_image_is_named(tmp_path, study):
    (study / "00001" / "image.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"image\.npz of slice 00001 is damaged"):
        cpaisd.cases(tmp_path)[0].read()


def test_an_empty_folder_holds_no_cases(tmp_path):
    with pytest.raises(DataError, match="contains no cases in the cpaisd layout"):
        open_source(DataSettings("cpaisd", str(tmp_path)))


def test_normalisation_constants_are_those_of_all_training_pixels(tmp_path):
    write_cpaisd(tmp_path, train=2)
    training = [case for case in cpaisd.cases(tmp_path) if case.part == "train"]
    pixels = np.concatenate([head_with_stroke(seed)[0] for seed in (0, 1)])
    assert measured_constants(training) == pytest.approx((pixels.mean(), pixels.std()))


def test_the_data_sets_own_constants_are_taken_where_it_gives_them(tmp_path):
    assert cpaisd.normalisation(tmp_path) is None
    (tmp_path / "metadata.json").write_text(json.dumps({"stats": {"train": {"mean": -420.5, "std": 480.25}}}))
    assert cpaisd.normalisation(tmp_path) == (-420.5, 480.25)


def test_the_phantoms_cpaisd_data_set_is_read_as_it_was_drawn(tmp_path):
    write_cpaisd_dataset(tmp_path, [1, 2, 3], spacing_mm=(2.0, 2.0, 20.0))
    cases = cpaisd.cases(tmp_path)
    assert sorted(case.part for case in cases) == ["test", "train", "val"]
    geometry = cases[0].read().study.ct.geometry
    assert geometry.pixel_spacing_mm == pytest.approx((2.0, 2.0))
    assert geometry.slice_spacing_mm == pytest.approx(20.0)
    training = [case for case in cases if case.part == "train"]
    assert measured_constants(training) == pytest.approx(cpaisd.normalisation(tmp_path))


def write_image(path, values, geometry):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm))
    image.SetOrigin(tuple(geometry.positions_mm[0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


GEOMETRY = centred_geometry((4, 96, 96), (8.0, 2.0, 2.0))


def test_an_nnunet_case_is_read_with_its_labels(tmp_path):
    hu, labels = head_with_stroke(0)
    write_image(tmp_path / "imagesTr" / "head_0000.nii.gz", hu.astype(np.int16), GEOMETRY)
    write_image(tmp_path / "labelsTr" / "head.nii.gz", labels, GEOMETRY)
    description = {"labels": {"background": 0, "core": 1, "penumbra": 2}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    labelled = nnunet.cases(tmp_path)[0].read()
    np.testing.assert_array_equal(labelled.labels, labels)
    np.testing.assert_array_equal(labelled.study.ct.voxels, hu)


def test_an_nnunet_data_set_of_other_labels_is_refused(tmp_path):
    description = {"labels": {"background": 0, "tumour": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="tumour"):
        nnunet.cases(tmp_path)


def test_a_dicom_folder_pairs_with_a_label_file(tmp_path):
    labels = head_with_stroke(0)[1]
    write_series(tmp_path / "images" / "head", ellipsoid_head(GEOMETRY), GEOMETRY)
    write_image(tmp_path / "labels" / "head.nrrd", labels, GEOMETRY)
    (tmp_path / "patients.csv").write_text("case,patient\nhead,anna\n")
    case = pairs.cases(tmp_path)[0]
    assert case.patient == "anna"
    np.testing.assert_array_equal(case.read().labels, labels)


def test_a_mask_that_lies_elsewhere_in_the_patient_is_refused(tmp_path):
    write_image(tmp_path / "images" / "head.nrrd", ellipsoid_head(GEOMETRY), GEOMETRY)
    elsewhere = centred_geometry((4, 96, 96), (9.0, 2.0, 2.0))
    write_image(tmp_path / "labels" / "head.nrrd", head_with_stroke(0)[1], elsewhere)
    with pytest.raises(DataError, match="have different positions"):
        pairs.cases(tmp_path)[0].read()


def test_a_scan_without_mask_is_refused(tmp_path):
    write_image(tmp_path / "images" / "head.nrrd", ellipsoid_head(GEOMETRY), GEOMETRY)
    with pytest.raises(DataError, match="Case head: the mask head"):
        pairs.cases(tmp_path)[0].read()


def test_red_is_core_and_green_is_penumbra(tmp_path):
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[10, 10], colours[20, 20] = (255, 0, 0), (0, 255, 0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.full((64, 64), 35, np.uint8)).save(tmp_path / "images" / "1.png")
    Image.fromarray(colours).save(tmp_path / "masks" / "1.png")
    labelled = png_slices.cases(tmp_path, pixel_mm=0.5)[0].read()
    assert (labelled.labels[0, 10, 10], labelled.labels[0, 20, 20], labelled.labels.sum()) == (1, 2, 3)
    assert labelled.study.ct.geometry.pixel_spacing_mm == (0.5, 0.5)


@pytest.mark.skipif(not (SHARED_DATA / "cpaisd_slices").is_dir(), reason="the real CPAISD slices are not here")
def test_the_experts_lesions_on_real_slices_lie_in_the_brain():
    inside, marked = 0, 0
    for case in png_slices.cases(SHARED_DATA / "cpaisd_slices", 0.45):
        labelled = case.read()
        marked += np.count_nonzero(labelled.labels)
        inside += np.count_nonzero(labelled.labels[labelled.study.brain])
    assert inside / marked > 0.95


def several_scans(patients, part=""):
    return [Case(f"p{number}", f"p{number}-{scan}", lambda: None, part) for number in range(patients) for scan in "ab"]


@pytest.mark.parametrize("settings", [{}, {"folds": 5, "fold": 2}])
def test_no_patient_is_in_two_parts(settings):
    parts = split(several_scans(20), DataSettings("pairs", "x", **settings), seed=1)
    patients = [{case.patient for case in part} for part in (parts.training, parts.validation, parts.test)]
    assert sum(len(names) for names in patients) == len(set.union(*patients)) == 20


def test_a_split_is_the_same_for_the_same_seed_and_folds_cover_every_patient():
    cases = several_scans(10)
    folds = [split(cases, DataSettings("pairs", "x", folds=5, fold=fold), seed=1).validation for fold in range(5)]
    assert sorted(case.name for fold in folds for case in fold) == sorted(case.name for case in cases)
    assert folds[0] == split(cases, DataSettings("pairs", "x", folds=5), seed=1).validation


def test_the_data_sets_own_split_is_kept():
    cases = [Case(part, part, lambda: None, part) for part in ("train", "val", "test")]
    parts = split(cases, DataSettings("cpaisd", "x"), seed=1)
    assert (parts.training, parts.validation, parts.test) == ((cases[0],), (cases[1],), (cases[2],))


def test_a_split_without_validation_is_refused():
    with pytest.raises(DataError, match="validation part is empty"):
        split(several_scans(3), DataSettings("pairs", "x", validation_fraction=0), seed=1)


def test_a_mirrored_slice_keeps_its_labels_on_its_lesion():
    image = np.zeros((1, 64, 48), np.float32)
    image[0, 20:30, 5:15] = 9
    labels = (image[0] > 0).astype(np.uint8)
    sample = Sample(image, labels, 255 * labels)
    mirrored, marks, weights = augmented(sample, AugmentationSettings(flip=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(weights, marks)
    np.testing.assert_array_equal(mirrored[0] > 0, marks > 0)
    np.testing.assert_array_equal(mirrored[0], image[0, :, ::-1])


def test_a_rotation_turns_by_its_angle_and_keeps_the_area():
    labels = np.zeros((96, 64), np.uint8)
    labels[20:70, 28:36] = 1
    settings = AugmentationSettings(rotation=1.0, rotation_deg=30)
    random = np.random.default_rng(2)
    random.random(), random.random()
    angle = random.uniform(-30, 30)
    sample = Sample(labels[None].astype(np.float32), labels, labels)
    turned = augmented(sample, settings, np.random.default_rng(2))[1].numpy()
    rows, columns = np.nonzero(turned)
    assert turned.sum() == pytest.approx(labels.sum(), rel=0.05)
    slope = np.degrees(np.arctan(np.polyfit(rows, columns, 1)[0]))
    assert abs(slope) == pytest.approx(abs(angle), abs=2)


def drawing(preparation):
    """Synthetic patients for the non-contrast method, by seed."""
    return partial(TRAINABLE["ncct-core-penumbra"].drawn, DataSettings("synthetic"), preparation)


def test_live_patients_are_prepared_as_for_inference_and_differ():
    preparation = Preparation(0, 10, (-40, 40), True, True, 4.0, (64, 64))
    stream = LivePatients(1, drawing(preparation), AugmentationSettings(), 2, reuse=1, lesion_share=0, samples=4)
    seen = [image for image, *_ in stream]
    assert seen[0].shape == (1, 64, 64)
    assert not np.array_equal(seen[0], seen[3])


def test_pictures_numbered_close_together_are_one_patients(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for number in (10026, 10039, 10115, 10450):
            Image.new("L" if folder == "images" else "RGB", (64, 64)).save(tmp_path / folder / f"{number}.png")
    patients = [case.patient for case in png_slices.cases(tmp_path, 0.45)]
    assert patients == ["10026", "10026", "10115", "10450"]


def test_slices_with_a_lesion_are_drawn_as_often_as_asked():
    preparation = Preparation(0, 10, (-40, 40), True, True, 4.0, (64, 64))
    stream = LivePatients(
        3, drawing(preparation), AugmentationSettings(), patients_kept=1, reuse=1000, lesion_share=1, samples=12
    )
    assert all((labels > 0).any() for _, labels, _ in stream)


def test_a_synthetic_patient_is_the_same_for_the_same_seed():
    scans = [synthetic_ct(7).read() for _ in range(2)]
    np.testing.assert_array_equal(*(scan.study.ct.voxels for scan in scans))
    assert len(prepare(scans[0].study, Preparation(40, 60))) == len(scans[0].labels)
