"""From a study to the input of a network: slices or a volume, one preparation per method."""
