"""Values that the tests of the store share."""

import numpy as np

from lidcflow.config import PreprocessConfig

SMALL = PreprocessConfig(size=16, slices=13)
FEATURES = np.arange(13 * 4, dtype=np.float16).reshape(13, 4)
URL = "s3://bucket/deep/store"
