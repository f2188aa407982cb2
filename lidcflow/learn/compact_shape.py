"""Shape of the compact backbone, without Keras."""

STEM_FILTERS = 16
STAGES = ((32, 1), (64, 2), (128, 3))
"""Filters and blocks of each stage; each stage halves the image once.

The median nodule is about 3 pixels wide on 128 x 128, so the image is halved three times only.
"""

MOST_BYTES = 2**26
"""Most bytes of a weight file's unpacked arrays: fifty times what they take."""
