"""Deleting what is kept of a patient, a study or a series, and keeping it from coming back."""
