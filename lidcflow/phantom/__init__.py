"""Phantoms: a synthetic LIDC-IDRI whose geometry and readings are real and whose voxels are made here."""

from lidcflow.phantom.scans import check_space, choose_scans, is_current, series_folder, write_phantom

__all__ = ["check_space", "choose_scans", "is_current", "series_folder", "write_phantom"]
