"""LIDC-IDRI: readings and labels from the rows of its database, and phantoms made from them."""
