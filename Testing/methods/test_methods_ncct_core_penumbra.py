import numpy as np
import pytest
import torch
from checkpoints import MEAN_HU, STD_HU, import_random_cpaisd, random_cpaisd_network
from scans import centred_geometry, ellipsoid_head, head_study

from StrokeSegLib import methods
from StrokeSegLib.errors import BundleError, ImageError, StrokeSegError
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.methods import ncct_core_penumbra as method

ON_THE_BRAIN = method.Preparation(
    mean_hu=0, std_hu=10, clip_hu=(-40, 40), centre_on_brain=True, brain_only=True, spacing_mm=1.0, size=(224, 192)
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("cpaisd"))


def test_the_published_preparation_is_the_whole_slice_minus_mean_over_std():
    study = head_study()
    slices = method.prepare(study, method.Preparation(mean_hu=MEAN_HU, std_hu=STD_HU))
    expected = ((study.ct.voxels[5].astype(np.float64) - MEAN_HU) / STD_HU).astype(np.float32)
    np.testing.assert_array_equal(slices[5], expected[None])


def test_probabilities_are_the_softmax_of_the_published_network_and_labels_its_argmax(bundle):
    study = head_study(shape=(3, 128, 160), spacing_mm=(8.0, 1.6, 1.4))
    findings = methods.run(study, method.ID, bundle, device="cpu", keep_probabilities=True)
    hu = torch.from_numpy(((study.ct.voxels[:, None].astype(np.float64) - MEAN_HU) / STD_HU).astype(np.float32))
    with torch.inference_mode():
        expected = random_cpaisd_network()(hu).softmax(dim=1).numpy()
    np.testing.assert_allclose(findings.probabilities["core"], expected[:, 1], atol=1e-4)
    np.testing.assert_allclose(findings.probabilities["penumbra"], expected[:, 2], atol=1e-4)
    labels = findings.layers[0].labels
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))
    assert {1, 2} <= set(np.unique(labels))


def test_volumes_follow_the_geometry_of_each_slice(bundle):
    study = head_study(shape=(3, 96, 96))
    findings = methods.run(study, method.ID, bundle, device="cpu")
    counts = (findings.layers[0].labels == 1).sum(axis=(1, 2))
    assert findings.volumes_ml["core"] == pytest.approx(counts.sum() * 8.0 * 2.0 * 2.0 / 1000)


def test_a_centred_preparation_does_not_see_an_offset_of_the_scanner():
    study = head_study()
    warmer = Study(ct=Volume(study.ct.voxels + np.int16(6), study.ct.geometry))
    first, second = (method.prepare(one, ON_THE_BRAIN)[8] for one in (study, warmer))
    np.testing.assert_allclose(first, second, atol=0.02)


def test_outside_the_brain_a_brain_only_preparation_is_flat():
    study = head_study()
    prepared = method.prepare(study, ON_THE_BRAIN)[8][0]
    assert prepared.shape == (224, 192)
    assert (prepared[:10] == 0).all()
    assert prepared[112, 140] != 0


def test_a_resampled_slice_comes_back_to_where_it_was():
    geometry = centred_geometry(shape=(4, 300, 280), spacing_mm=(8.0, 0.7, 0.7))
    study = Study(ct=Volume(ellipsoid_head(geometry), geometry))
    slices = method.prepare(study, ON_THE_BRAIN)
    truth = np.zeros((300, 280), np.uint8)
    truth[120:170, 100:140] = 1
    lesion = slices.labels(2, truth).astype(np.float32)
    back = slices.to_scan(2, np.stack([1 - lesion, lesion, 0 * lesion]))
    np.testing.assert_allclose(back.sum(axis=0), 1, atol=1e-6)
    overlap = 2 * ((back[1] > 0.5) & (truth == 1)).sum() / ((back[1] > 0.5).sum() + truth.sum())
    assert overlap > 0.97


def test_a_preparation_that_needs_the_brain_refuses_a_scan_without_one():
    geometry = centred_geometry()
    air = Study(ct=Volume(np.full(geometry.shape, -1000, np.int16), geometry))
    with pytest.raises(ImageError, match="No brain"):
        method.prepare(air, ON_THE_BRAIN)


def test_a_threshold_on_affected_tissue_splits_it_by_the_likelier_of_core_and_penumbra():
    probabilities = np.array([[0.9, 0.6, 0.6], [0.02, 0.3, 0.1], [0.08, 0.1, 0.3]])[:, None]
    labels = method.label_slice(probabilities, method.Prediction(affected_threshold=0.3))
    np.testing.assert_array_equal(labels, [[0, 1, 2]])


def test_small_volumes_are_dropped_by_their_millilitres(bundle):
    study = head_study()
    whole = methods.run(study, bundle.method, bundle, device="cpu").layers[0].labels
    volumes_ml = study.ct.geometry.voxel_volumes_ml
    minimum_ml = 1.05 * volumes_ml @ (whole > 0).sum(axis=(1, 2))
    strict = bundle.overridden([f"prediction.minimum_ml={minimum_ml}"])
    assert whole.any()
    assert not methods.run(study, bundle.method, strict, device="cpu").layers[0].labels.any()


def test_an_unknown_method_and_a_bundle_of_another_are_refused(bundle):
    with pytest.raises(StrokeSegError, match="Unknown method"):
        methods.run(head_study(), "ncct-magic", bundle)
    with pytest.raises(BundleError, match="set both spacing_mm and size"):
        method.Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0)


def test_a_named_side_keeps_only_that_hemisphere_of_the_patient(bundle):
    study = head_study(shape=(16, 96, 96))
    both = methods.run(study, method.ID, bundle, device="cpu").layers[0].labels
    left = methods.run(study, method.ID, bundle, device="cpu", side="left")
    labels = left.layers[0].labels
    assert both[:, :, :40].any()
    assert not labels[:, :, :46].any()
    np.testing.assert_array_equal(labels[:, :, 50:], both[:, :, 50:])
    assert "left hemisphere" in " ".join(left.warnings)
