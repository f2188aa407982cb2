"""Sources of DICOM files: list, read, cache and download them."""
