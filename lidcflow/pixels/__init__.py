"""Pixel data of one image: opened, received from a PACS, decoded, compared."""
