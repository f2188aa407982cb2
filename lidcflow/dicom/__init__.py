"""DICOM itself: data elements, transfer syntaxes, codestreams and the geometry of an image."""
