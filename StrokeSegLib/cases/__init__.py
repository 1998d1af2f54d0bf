"""A case's folder: written by a run, read back with a reader's corrections."""
