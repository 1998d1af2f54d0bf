"""Cases out into the world: DICOM SEG and SR, and the one way in for command line and worker."""
