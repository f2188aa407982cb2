"""Reading new studies: recommendations and their pages."""
