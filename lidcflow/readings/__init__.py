"""Readings from anywhere: one table of what readers marked, and how it becomes nodules of the images at hand."""
