"""What is computed from labels and numbers alone: volumes, ASPECTS, mismatch, trial criteria. NumPy and SciPy only."""
