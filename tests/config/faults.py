"""Configurations with a password."""

PASSWORD = "s3cret"
