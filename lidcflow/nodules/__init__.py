"""Findings: places of a series that may show a nodule, with their size and probability."""
