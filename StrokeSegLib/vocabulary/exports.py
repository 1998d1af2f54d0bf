"""What a case can be exported as."""

LAYOUTS = ("nifti", "nnunet", "cpaisd")
"""Data sets for training, to which a case is added."""

DOCUMENTS = ("dicom", "dicom-report", "csv", "pictures", "pdf", "html")
"""What a case is written as, under its name."""

OF_A_SERIES = ("dicom", "dicom-report")
"""What refers to the DICOM images that were segmented."""
