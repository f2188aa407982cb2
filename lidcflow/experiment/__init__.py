"""Experiments: trainings that differ in their configuration, compared side by side."""
