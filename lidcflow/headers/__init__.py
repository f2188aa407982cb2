"""Headers of CT images: read from files and from a PACS, kept in a cache, checked one by one."""
