"""A case's folder: written by a run, read back with what a reader made of it."""
