"""Erasure: remove every trace of a patient or a series from a workspace."""
