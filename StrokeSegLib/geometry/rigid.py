"""Motion of the head between frames: rotations about the patient's axes through the volume's centre.

A point ``p`` of the head in the reference lies at ``R (p − c) + c + shift`` in a frame, with ``c`` the middle of the
volume and ``R`` of `rotation_matrix`.
"""

import dataclasses
import math

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry


def rotation_matrix(rotation_deg: np.ndarray) -> np.ndarray:
    """``(3, 3)`` rotation about the patient's x axis (left–right), then y (front–back), then z (head–foot)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rotation_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def rotation_angles_deg(matrix: np.ndarray) -> np.ndarray:
    """``(3,)`` the angles of `rotation_matrix`."""
    x, y, z = (
        math.atan2(matrix[2, 1], matrix[2, 2]),
        -math.asin(max(-1.0, min(1.0, matrix[2, 0]))),
        math.atan2(matrix[1, 0], matrix[0, 0]),
    )
    return np.degrees([x, y, z])


def middle_mm(geometry: SliceGeometry) -> np.ndarray:
    """``(3,)`` LPS middle of a volume, about which its frames rotate."""
    slices, rows, columns = geometry.shape
    row, column = (rows - 1) / 2, (columns - 1) / 2
    return geometry.to_patient(np.array([[0, row, column], [slices - 1, row, column]])).mean(axis=0)


def seen_from(geometry: SliceGeometry, shift_mm: np.ndarray, rotation_deg: np.ndarray) -> SliceGeometry:
    """Where the slices lie in a head that has moved, in the coordinates of the head before."""
    back, middle = rotation_matrix(rotation_deg).T, middle_mm(geometry)
    return dataclasses.replace(
        geometry,
        positions_mm=(geometry.positions_mm - shift_mm - middle) @ back.T + middle,
        row_direction=back @ geometry.row_direction,
        column_direction=back @ geometry.column_direction,
    )
