"""Where voxels lie in the patient: stacks of slices, grids, axes, rigid motion. NumPy and SciPy only."""
