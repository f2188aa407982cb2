"""The inbox: which series have come, how far each has got, and what was delivered."""
