"""Phantoms: a synthetic LIDC-IDRI whose geometry and readings are real and whose voxels are made here."""
