"""Size and planes of the patches around candidates."""

PATCH_PIXELS = 48
"""Rows and columns of a patch."""

PATCH_PIXEL_MM = (0.73, 1.46)
"""Pixels of the narrow and of the wide patches, which are 35 and 70 mm wide."""

PLANES = ("axial", "coronal", "sagittal")
"""Axes down and across a patch: (row, column), (slice, column) and (slice, row)."""
