"""What inference reads, compared with what its release was trained on: drift, and studies unlike any before."""
