"""Names of releases."""

import itertools

NAMES = (f"releases-{number}" for number in itertools.count())
