"""Chat platforms: each translates between its platform and the core's port."""
