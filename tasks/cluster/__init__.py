"""Dask: clusters that work, and the series that are mapped over them."""
