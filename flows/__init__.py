"""Prefect flows: the order of the stages; and the commands that start them."""
