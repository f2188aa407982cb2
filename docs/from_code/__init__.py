"""Pages of the reference that are made from code, and how they are written in Markdown."""
