"""The roof of the house and its core."""
