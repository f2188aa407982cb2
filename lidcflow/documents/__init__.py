"""DICOM documents of a recommendation, for the PACS: key objects and a structured report."""
