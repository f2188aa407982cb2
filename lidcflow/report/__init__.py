"""Recommendations: which slices to look at, and the pages that show them."""
