"""What is kept: Zarr volumes and the catalog of series."""
