"""Drift: how far the series of today differ from those a release was trained on."""
