"""Series of images: found in a source and judged usable or refused, with the reason."""
