"""A DICOM node: studies are received, segmented, and their results sent on."""
