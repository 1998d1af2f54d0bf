"""Export formats of a case."""

LAYOUTS = ("nifti", "nnunet", "cpaisd")
"""Data sets for training, to which a case is added."""

DOCUMENTS = ("dicom", "dicom-report", "csv", "pictures", "pdf", "html")
"""Formats that write files under the case's name."""

OF_A_SERIES = ("dicom", "dicom-report")
"""Formats that refer to the DICOM images that were segmented."""
