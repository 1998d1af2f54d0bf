"""Export of cases: DICOM SEG and SR, and one entry point for command line and worker."""
