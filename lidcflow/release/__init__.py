"""A release: the sector models that are used together, what they reach, and the gate they pass."""
