"""Chest CT series: finding and judging them, decoding, geometry, reduction to slabs."""
