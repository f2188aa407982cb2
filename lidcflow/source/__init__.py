"""Where DICOM files lie, and how they are listed, read, remembered and fetched."""
