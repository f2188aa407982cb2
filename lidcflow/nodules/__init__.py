"""Nodule candidates of a series at its own resolution, and what they are to its readings."""
