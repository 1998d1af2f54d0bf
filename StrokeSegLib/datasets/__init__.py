"""Corrected cases added to a data set for training, in one of three layouts."""
