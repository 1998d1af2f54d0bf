"""The mirror image of a head laid onto the head, so that a voxel can be compared with its counterpart.

A rigid motion in the slice plane, one for the whole volume: Clèrigues et al. 2019, section 3.1.2, do so with FLIRT.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.geometry.slices import SliceGeometry

SAMPLING_MM = (3.0, 3.0, 10.0)
"""Voxels are averaged to about this size along columns, rows and slices before they are compared."""

CONTRAST_HU = (0, 100)
"""The head's outline, skull and brain show within this range; air and the head-holder's foam do not."""

START_ANGLES_DEG = np.arange(-60, 61, 10)
"""Turns that are tried first (FLIRT's search range); a head turned by a needs a turn of its mirror image by 2a."""

HEAD_RADIUS_MM = 80.0
"""The registration's unit of length: so a turn in radians and a shift weigh alike."""

IN_PLANE = [0, 0, 1, 1, 1, 0]
"""1 for each of the three angles and three shifts of a rigid motion that stays in the slice plane."""


@dataclass(frozen=True)
class MirrorAlignment:
    """The rigid motion in the slice plane that lays the mirror image of a head onto the head.

    Args:
        angle_deg: turn about the middle of the slices, from the columns' axis towards the rows'.
        shift_mm: after it, along columns and along rows.
    """

    angle_deg: float
    shift_mm: tuple[float, float]

    def mirrored(self, volume: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
        """The mirror image of a volume ``(slice, row, column)`` in place of its counterpart, linear, float32.

        Where the mirror image does not reach it is 0, as after FLIRT.
        """
        moving = _image(volume[:, :, ::-1].astype(np.float32), geometry)
        motion = _motion(moving)
        motion.SetParameters((0, 0, np.radians(self.angle_deg), *self.shift_mm, 0))
        return sitk.GetArrayFromImage(sitk.Resample(moving, moving, motion, sitk.sitkLinear, 0.0))


def mirror_alignment(hu: np.ndarray, geometry: SliceGeometry) -> MirrorAlignment:
    """Register the mirror image of a head CT to the CT by correlation.

    Args:
        hu: ``(slice, row, column)``.
        geometry: where the slices lie.
    """
    spacing_mm = (*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm)
    factors = [
        min(size, max(1, round(wanted / own)))
        for size, wanted, own in zip(hu.shape[::-1], SAMPLING_MM, spacing_mm, strict=True)
    ]
    clipped = hu.clip(*CONTRAST_HU).astype(np.float32)
    images = [_image(each, geometry, HEAD_RADIUS_MM) for each in (clipped, clipped[:, :, ::-1])]
    motion = _motion(images[0])
    fixed, moving = (sitk.BinShrink(image, factors) for image in images)
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsCorrelation()
    # Derivatives by differences: the smoothing filter refuses stacks of fewer than four slices.
    registration.MetricUseFixedImageGradientFilterOff()
    registration.MetricUseMovingImageGradientFilterOff()
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.02, minStep=1e-4, numberOfIterations=100, gradientMagnitudeTolerance=1e-10
    )
    registration.SetOptimizerWeights(IN_PLANE)
    registration.SetInitialTransform(_best_start(registration, fixed, moving, motion), inPlace=False)
    *_, angle, along_columns, along_rows, _ = registration.Execute(fixed, moving).GetParameters()
    return MirrorAlignment(float(np.degrees(angle)), (along_columns * HEAD_RADIUS_MM, along_rows * HEAD_RADIUS_MM))


def _best_start(
    registration: sitk.ImageRegistrationMethod,
    fixed: sitk.Image,
    moving: sitk.Image,
    motion: sitk.Euler3DTransform,
) -> sitk.Euler3DTransform:
    """The turn, with the heads' centres of mass laid onto each other, at which the images agree best."""
    middle = np.array(motion.GetCenter())[:2]
    towards, away = (_centre_of_mass(image) - middle for image in (fixed, moving))
    values = []
    for angle in np.radians(START_ANGLES_DEG):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # ITK's transform leads from the fixed image's points to the moving one's.
        motion.SetParameters((0, 0, float(angle), *(away - turn @ towards).tolist(), 0))
        registration.SetInitialTransform(motion, inPlace=False)
        values.append((registration.MetricEvaluate(fixed, moving), motion.GetParameters()))
    motion.SetParameters(min(values)[1])
    return motion


def _image(volume: np.ndarray, geometry: SliceGeometry, unit_mm: float = 1.0) -> sitk.Image:
    """The slices on top of each other, as if they were neither turned nor sheared nor unevenly spaced."""
    image = sitk.GetImageFromArray(volume)
    spacing_mm = (*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm)
    image.SetSpacing([spacing / unit_mm for spacing in spacing_mm])
    return image


def _motion(image: sitk.Image) -> sitk.Euler3DTransform:
    """No motion yet; turns are about the middle of the image."""
    motion = sitk.Euler3DTransform()
    motion.SetCenter(image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()]))
    return motion


def _centre_of_mass(image: sitk.Image) -> np.ndarray:
    """Along columns and rows."""
    weights = sitk.GetArrayViewFromImage(image).sum(axis=0, dtype=np.float64)
    rows, columns = np.indices(weights.shape)
    index = [np.average(along, weights=weights + 1e-12) for along in (columns, rows)]
    return np.array(image.GetOrigin()[:2]) + np.array(image.GetSpacing()[:2]) * index
