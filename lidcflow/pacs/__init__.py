"""A PACS over DICOMweb: what it holds, its instances, what happens in it, and what is sent to it."""
