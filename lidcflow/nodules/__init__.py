"""The nodule stage: candidates of a series, their detector, and findings."""
