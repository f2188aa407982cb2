"""Stores of Zarr volumes."""
