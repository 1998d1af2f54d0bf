"""The CT perfusion core method against section by section transcriptions of the published preparation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from perfused import import_random_sunet, perfused_study, random_sunet

from StrokeSegLib import methods
from StrokeSegLib.errors import BundleError, Cancelled, ImageError
from StrokeSegLib.methods import ctp_core as method
from StrokeSegLib.preparation.perfusion import PATCH_AXES

PLAIN = ("symmetry=flip",)
EVERY_VOXEL = np.array([0.001, 0.001, 0.001])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_sunet(tmp_path_factory.mktemp("clerigues"), settings=PLAIN)


def transcribed_channels(study):
    """Ten arrays (x, y, z) by the paper's steps with a plain flip, and their normalised zeros."""
    maps = study.maps
    arrays = [
        np.float32(each).transpose(2, 1, 0) for each in (study.ct.voxels, maps.cbf, maps.cbv, maps.mtt, maps.tmax)
    ]
    symmetric = [each[::-1] for each in arrays]
    stripped = [each[0] * (sum(each[1:]) > 0) for each in (arrays, symmetric)]
    ten = [stripped[0], *arrays[1:], stripped[1], *symmetric[1:]]
    return [(each - each.mean()) / each.std() for each in ten], [-each.mean() / each.std() for each in ten], stripped[0]


def test_channels_are_the_published_ones_each_normalised_over_the_whole_volume():
    study = perfused_study()
    prepared = method.prepare(study, study.maps, method.Preparation(symmetry="flip"))
    channels, padding, stripped = transcribed_channels(study)
    np.testing.assert_allclose(prepared.channels, [each.transpose(2, 1, 0) for each in channels], atol=1e-4)
    np.testing.assert_allclose(prepared.padding, padding, atol=1e-5)
    np.testing.assert_array_equal(prepared.foreground, stripped.transpose(2, 1, 0) > 0)


def test_probabilities_of_the_published_model_are_those_of_a_patch_loop_over_x_and_y(bundle):
    study = perfused_study(shape=(2, 72, 80), spacing_mm=(20.0, 2.4, 2.2))
    run = bundle.overridden(["prediction.stride=12", "prediction.mc_passes=0"])
    findings = methods.run(study, method.ID, run, device="cpu", keep_probabilities=True)

    channels, padding, stripped = transcribed_channels(study)
    padded = np.stack(
        [
            np.pad(each, ((32, 32), (32, 32), (0, 0)), constant_values=zero)
            for each, zero in zip(channels, padding, strict=True)
        ]
    )
    total, count = np.zeros(padded.shape[1:]), np.zeros(padded.shape[1:])
    network = random_sunet()
    for x, y, z in np.argwhere(stripped > 0):
        if x % 12 == 0 and y % 12 == 0:
            window = np.s_[max(x, 1) : max(x, 1) + 64, max(y, 1) : max(y, 1) + 64, z]
            with torch.inference_mode():
                patch = torch.from_numpy(padded[(slice(None), *window)].copy()).float()[None]
                total[window] += network(patch).softmax(dim=1)[0, 1].numpy()
            count[window] += 1
    expected = np.divide(total, count, out=np.zeros_like(total), where=count > 0)[32:-32, 32:-32].transpose(2, 1, 0)
    np.testing.assert_allclose(findings.probabilities["core"], expected, atol=1e-4)
    assert np.ptp(expected) > 0.2


def test_a_voxel_at_the_threshold_is_not_core_and_a_component_of_the_minimum_size_is():
    probabilities = np.zeros((3, 10, 10), np.float32)
    probabilities[0, 0, :4] = 0.9
    probabilities[0, 5, :3] = 0.9
    probabilities[0, 5, 3] = 0.5
    labels = method.binarised(probabilities, method.Prediction(threshold=0.5, minimum_voxels=4), EVERY_VOXEL)
    np.testing.assert_array_equal(labels > 0, (probabilities == 0.9) & (np.arange(10)[:, None] == 0))


def test_voxels_that_touch_by_an_edge_are_two_components_and_slices_connect():
    probabilities = np.zeros((3, 10, 10), np.float32)
    probabilities[0, 0, 0] = probabilities[0, 1, 1] = 0.9
    probabilities[:2, 7, 7] = 0.9
    labels = method.binarised(probabilities, method.Prediction(minimum_voxels=2), EVERY_VOXEL)
    assert labels.sum() == 2
    assert labels[:2, 7, 7].all()


def test_a_minimum_in_ml_counts_each_slice_with_its_own_extent():
    probabilities = np.zeros((3, 10, 10), np.float32)
    probabilities[0, :2], probabilities[2, :2] = 0.9, 0.9
    rule = method.Prediction(minimum_voxels=0, minimum_ml=0.03)
    labels = method.binarised(probabilities, rule, np.array([0.001, 0.001, 0.002]))
    assert not labels[0].any()
    assert labels[2].sum() == 20


def test_registration_and_plain_flip_agree_on_a_straight_head():
    study = perfused_study()
    registered, flipped = (
        method.prepare(study, study.maps, method.Preparation(symmetry=symmetry)) for symmetry in ("register", "flip")
    )
    np.testing.assert_allclose(registered.channels[:5], flipped.channels[:5], atol=1e-5)
    assert np.corrcoef(registered.channels[6].ravel(), flipped.channels[6].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("axes", PATCH_AXES)
def test_a_prediction_comes_back_on_its_voxels_whatever_the_networks_orientation(axes):
    study = perfused_study()
    prepared = method.prepare(study, study.maps, method.Preparation(symmetry="flip", patch_axes=axes))
    patched = prepared.patched()
    rows_first = axes[0] in "PA"
    assert patched.channels.shape[2:] == ((72, 80) if rows_first else (80, 72))
    np.testing.assert_array_equal(prepared.to_scan(patched.channels[1, 2]), prepared.channels[1, 2])
    towards_left = patched.channels[1, 2] if not rows_first else patched.channels[1, 2].T
    towards_left = towards_left[::-1] if "R" in axes else towards_left
    assert towards_left[50:58].mean() < towards_left[22:30].mean()


def test_a_network_of_another_pixel_size_finds_the_same_place():
    study = perfused_study()
    preparation = method.Preparation(symmetry="flip", spacing_mm=3.3)
    prepared = method.prepare(study, study.maps, preparation)
    assert prepared.channels.shape == (10, 4, 53, 54)
    there = (study.maps.cbf < 20) & study.maps.measured
    back = np.stack([prepared.to_scan(plane) for plane in prepared.labels(there.astype(np.float32))])
    assert 2 * ((back > 0.5) & there).sum() / ((back > 0.5).sum() + there.sum()) > 0.9


def test_an_ensemble_is_the_mean_of_its_members(tmp_path, bundle):
    both = import_random_sunet(tmp_path, members=2, settings=PLAIN)
    assert len(both.weights) == 2
    study = perfused_study()
    settings = ["prediction.stride=16", "prediction.mc_passes=0"]
    of_both, of_first = (
        methods.run(study, method.ID, one.overridden(settings), device="cpu", keep_probabilities=True)
        for one in (both, bundle)
    )
    assert 0 < np.abs(of_both.probabilities["core"] - of_first.probabilities["core"]).max() < 1


def test_findings_hold_the_core_its_volume_and_what_was_set(bundle):
    settings = ["prediction.stride=16", "prediction.minimum_voxels=0", "prediction.threshold=0.45"]
    findings = methods.run(perfused_study(), method.ID, bundle.overridden(settings), device="cpu", side="left")
    labels = findings.layers[0].labels
    assert findings.volumes_ml["core"] == pytest.approx(labels.sum() * 10 * 2.4 * 2.2 / 1000)
    assert labels[:, :, 42:].any()
    assert not labels[:, :, :38].any()
    assert findings.runs[0].prediction["stride"] == 16
    assert "left hemisphere" in " ".join(findings.warnings)


def test_a_cancel_stops_the_run(bundle):
    def cancel(fraction, stage):
        if fraction > 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        methods.run(perfused_study(), method.ID, bundle, device="cpu", progress=cancel)


def test_a_map_of_one_value_is_refused():
    study = perfused_study()
    with pytest.raises(ImageError, match="MTT is constant"):
        method.prepare(study, replace(study.maps, mtt=np.zeros_like(study.maps.mtt)), method.Preparation())


def test_maps_that_are_zero_everywhere_are_refused():
    study = perfused_study()
    zero = np.zeros_like(study.maps.cbf)
    with pytest.raises(ImageError, match="No brain tissue"):
        method.prepare(
            study, replace(study.maps, cbf=zero, cbv=zero, mtt=zero, tmax=zero), method.Preparation(symmetry="flip")
        )


def test_settings_that_the_method_does_not_know_are_refused(bundle):
    for setting in ("prediction.stride=0", "preparation.patch_axes=3", "preparation.sharpness=1"):
        with pytest.raises(BundleError, match="settings do not fit"):
            methods.check(bundle.overridden([setting]))
    with pytest.raises(BundleError, match="patch axes"):
        method.Preparation(patch_axes="LR")
    with pytest.raises(BundleError, match="symmetry"):
        methods.check(bundle.overridden(["preparation.symmetry=both"]))
