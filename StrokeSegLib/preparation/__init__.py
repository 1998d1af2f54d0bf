"""From a study to what a network sees: slices or a volume, one preparation a method."""
