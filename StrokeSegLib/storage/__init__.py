"""Files that appear whole or not at all, and voxels as NIfTI, NRRD and DICOM images."""
