"""Labels: radiologists' readings, gathered from their files and matched to slices."""
