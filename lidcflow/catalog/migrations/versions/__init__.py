"""One script for each version of the catalog's tables."""
