"""Tin, an example of a platform in a package of its own (docs/platforms.md)."""
