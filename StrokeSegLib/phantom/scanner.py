"""CT scanners: slice geometries and what a scanner adds to the head: noise, kernel, cupping, streaks, padding."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom.draws import Draws, generator_for
from StrokeSegLib.phantom.fields import blurred, smooth_noise

PADDING_HU = -3024
"""What scanners store outside the reconstruction circle (−2000 before the intercept of −1024), far below air."""

HEAD_HU = -500
"""Above this is head, not air."""


@dataclass(frozen=True)
class Scanner:
    """How a scanner and its kernel draw the head.

    Args:
        noise_hu: standard deviation of noise in the middle of the head, after the kernel.
        noise_correlation_mm: standard deviation of the Gaussian that correlates it in the slice.
        blur_mm: standard deviation of the kernel's blur.
        sharpening: overshoot at edges, 0 for a smooth kernel.
        cupping_hu: how much darker the middle of the head is than its rim.
        shading_hu: standard deviation of slow shading.
        streak_hu: greatest darkening between dense bones of one slice.
        motion_mm: shift between the two halves of an image that the patient moved in; 0 where still.
        table: whether the head-holder is in the field of view.
        circle: whether the corners outside the reconstruction circle are padded.
        seed: random seed for noise and shading.
    """

    noise_hu: float
    noise_correlation_mm: float
    blur_mm: float
    sharpening: float
    cupping_hu: float
    shading_hu: float
    streak_hu: float
    motion_mm: float
    table: bool
    circle: bool
    seed: int


def draw_scanner(seed: int) -> Scanner:
    """A scanner and its settings; the same seed gives the same one."""
    draws = Draws(seed, "scanner")
    return Scanner(
        noise_hu=draws.uniform(2.0, 7.0),
        noise_correlation_mm=draws.uniform(0.35, 0.75),
        blur_mm=draws.uniform(0.35, 0.8),
        sharpening=draws.uniform(0, 0.6) if draws.chance(0.4) else 0.0,
        cupping_hu=draws.uniform(-1.5, 2.5),
        shading_hu=draws.uniform(0.2, 1.2),
        streak_hu=draws.uniform(0, 12),
        motion_mm=draws.uniform(1, 4) if draws.chance(0.06) else 0.0,
        table=draws.chance(0.7),
        circle=draws.chance(0.5),
        seed=draws.seed(),
    )


def draw_perfusion_scanner(seed: int) -> Scanner:
    """A scanner set for perfusion: a low dose, a smooth kernel, thick slices that leave 3–8 HU of coarse noise."""
    draws = Draws(seed, "perfusion scanner")
    return dataclasses.replace(
        draw_scanner(seed),
        noise_hu=draws.uniform(3.0, 8.0),
        noise_correlation_mm=draws.uniform(0.6, 1.1),
        blur_mm=draws.uniform(0.6, 1.0),
        sharpening=0.0,
        motion_mm=0.0,
    )


def random_acquisition(
    seed: int, slices: int = 18, rows: int = 224, columns: int = 192, thickness_mm: tuple[float, float] = (1.0, 8.0)
) -> SliceGeometry:
    """A random acquisition for training: 0.9–1.1 mm pixels, slices of 1–8 mm, tilt up to 25° in a third.

    Where the slices do not cover the head, they are a random block of it.
    """
    draws = Draws(seed, "acquisition")
    gap_mm = draws.uniform(*thickness_mm)
    pixel_mm = draws.uniform(0.9, 1.1)
    tilt_deg = draws.uniform(-25, 25) if draws.chance(1 / 3) else 0.0
    slack_mm = max(0.0, 130 - gap_mm * (slices - 1))
    middle_mm = 12 + draws.uniform(-0.5, 0.5) * slack_mm
    return axial_geometry((slices, rows, columns), (gap_mm, pixel_mm, pixel_mm), tilt_deg, (0, 18, middle_mm))


def axial_geometry(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    tilt_deg: float = 0.0,
    middle_mm: tuple[float, float, float] = (0.0, 18.0, 15.0),
) -> SliceGeometry:
    """Axial slices around a point, the gantry tilted about the left–right axis while the table moves along z.

    Args:
        shape: slices, rows, columns.
        spacing_mm: between slices along their normal, between rows, between columns.
        tilt_deg: positive turns the front of the slices upwards.
        middle_mm: LPS centre of the stack.
    """
    angle = np.radians(tilt_deg)
    row_direction = np.array([1.0, 0.0, 0.0])
    column_direction = np.array([0.0, np.cos(angle), -np.sin(angle)])
    feed_mm = (np.arange(shape[0]) - (shape[0] - 1) / 2) * spacing_mm[0] / np.cos(angle)
    corner = (
        np.array(middle_mm)
        - (shape[1] - 1) / 2 * spacing_mm[1] * column_direction
        - (shape[2] - 1) / 2 * spacing_mm[2] * row_direction
    )
    return SliceGeometry(
        positions_mm=corner + feed_mm[:, None] * np.array([0.0, 0.0, 1.0]),
        row_direction=row_direction,
        column_direction=column_direction,
        pixel_spacing_mm=(float(spacing_mm[1]), float(spacing_mm[2])),
        shape=shape,
        single_slice_thickness_mm=float(spacing_mm[0]),
    )


def imaged(hu: torch.Tensor, geometry: SliceGeometry, scanner: Scanner) -> torch.Tensor:
    """What the scanner stores of a head: int16 ``(slice, row, column)``.

    Args:
        hu: float32 HU of the head on the slices, averaged over their thickness.
        geometry: where the slices lie.
        scanner: what it adds.
    """
    generator = generator_for(scanner.seed, "noise")
    clean = without_noise(hu, geometry, scanner, generator)
    return stored(clean + noise(tuple(hu.shape), geometry, scanner, generator).to(hu.device), geometry, scanner)


def without_noise(
    hu: torch.Tensor, geometry: SliceGeometry, scanner: Scanner, generator: torch.Generator
) -> torch.Tensor:
    """The head with all that the scanner adds but noise: head-holder, kernel, streaks, shading and cupping."""
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    if scanner.motion_mm:
        hu = (hu + hu.roll((round(scanner.motion_mm / rows_mm), round(scanner.motion_mm / columns_mm)), (1, 2))) / 2
    if scanner.table:
        hu = torch.maximum(hu, _head_holder_hu(hu, geometry, scanner))
    sigma = (0, *kernel_pixels(geometry, scanner))
    hu = blurred(hu, sigma)
    if scanner.sharpening:
        hu = hu + scanner.sharpening * (hu - blurred(hu, tuple(2 * s for s in sigma))).clamp(-400, 400)
    hu = hu + _streaks(hu, geometry, scanner)
    shading = smooth_noise(tuple(hu.shape[1:]), 70 / rows_mm, generator, hu.device) * scanner.shading_hu
    distance = _distance_from_middle_mm(geometry, hu.device)
    return hu + shading + scanner.cupping_hu * (distance / 75).square().clamp(max=1.5)


def kernel_pixels(geometry: SliceGeometry, scanner: Scanner) -> tuple[float, float]:
    """Standard deviation of the kernel's blur along rows and columns, in pixels."""
    return tuple(scanner.blur_mm / spacing for spacing in geometry.pixel_spacing_mm)


def noise(
    shape: tuple[int, int, int], geometry: SliceGeometry, scanner: Scanner, generator: torch.Generator
) -> torch.Tensor:
    """Noise ``(image, row, column)`` in HU, correlated within each image."""
    white = torch.randn(shape, generator=generator)
    sigma = [scanner.noise_correlation_mm / spacing for spacing in geometry.pixel_spacing_mm]
    correlated = blurred(white, (0, *sigma))
    return correlated * (scanner.noise_hu / correlated.double().std().item())


def stored(hu: torch.Tensor, geometry: SliceGeometry, scanner: Scanner) -> torch.Tensor:
    """HU ``(image, row, column)`` as whole numbers within the scanner's range, padded outside its circle: int16."""
    hu = hu.round().clamp(-1024, 3071)
    if scanner.circle:
        rows, columns = geometry.shape[1:]
        rows_mm, columns_mm = geometry.pixel_spacing_mm
        distance, radius_mm = (
            _distance_from_middle_mm(geometry, hu.device),
            min(rows * rows_mm, columns * columns_mm) / 2,
        )
        hu = torch.where(distance > max(radius_mm, 110), torch.full((), float(PADDING_HU), device=hu.device), hu)
    return hu.to(torch.int16)


def _head_holder_hu(hu: torch.Tensor, geometry: SliceGeometry, scanner: Scanner) -> torch.Tensor:
    """``(row, column)`` HU of a shell under the back of the head, air elsewhere."""
    draws = Draws(scanner.seed, "head-holder")
    radius_mm, width_mm, gap_mm = draws.uniform(105, 160), draws.uniform(1.5, 4), draws.uniform(3, 12)
    rows_mm, columns_mm = _from_middle_mm(geometry, hu.device)
    behind = torch.where((hu > HEAD_HU).any(dim=2).any(dim=0), rows_mm, rows_mm[0]).max()
    middle_mm = behind + gap_mm - radius_mm
    distance = ((rows_mm - middle_mm).square()[:, None] + columns_mm.square()[None, :]).sqrt()
    on_shell = ((distance - radius_mm).abs() < width_mm / 2) & (rows_mm > middle_mm + radius_mm / 4)[:, None]
    return torch.where(on_shell, draws.uniform(-300, 250), -1000.0)


def _distance_from_middle_mm(geometry: SliceGeometry, device: torch.device) -> torch.Tensor:
    rows_mm, columns_mm = _from_middle_mm(geometry, device)
    return (rows_mm.square()[:, None] + columns_mm.square()[None, :]).sqrt()


def _from_middle_mm(geometry: SliceGeometry, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of rows and of columns from the middle of the slice."""
    return tuple(
        (torch.arange(length, device=device) - (length - 1) / 2) * spacing
        for length, spacing in zip(geometry.shape[1:], geometry.pixel_spacing_mm, strict=True)
    )


def _streaks(hu: torch.Tensor, geometry: SliceGeometry, scanner: Scanner) -> torch.Tensor:
    """Dark bands between dense bones that lie on the same row, as between the petrous bones."""
    factor = max(1, round(4 / geometry.pixel_spacing_mm[1]))
    dense = functional.avg_pool2d((hu.clamp(300, 1500) - 300)[:, None], factor, ceil_mode=True)[:, 0] / 1200
    dense = dense * factor * geometry.pixel_spacing_mm[1]
    # A skull cut across counts about 6 mm of bone on either side; only more than that casts a streak.
    from_right, from_left = dense.cumsum(2), dense.flip(2).cumsum(2).flip(2)
    shadow = (torch.minimum(from_right, from_left) - 9).clamp(0, 20) / 20
    shadow = blurred(shadow, (0, 0.7, 1.0))
    full = functional.interpolate(shadow[:, None], scale_factor=factor, mode="bilinear", align_corners=False)[:, 0]
    return -scanner.streak_hu * full[:, : hu.shape[1], : hu.shape[2]]
