"""Measurements from labels and numbers: volumes, ASPECTS, mismatch, trial criteria. NumPy and SciPy only."""
