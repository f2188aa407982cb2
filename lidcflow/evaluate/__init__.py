"""Evaluate a release on held-out patients, beside baselines, with intervals over patients."""
