"""A series as one volume: reduced slab by slab, resampled, split into chest sectors."""
