"""Emoji verification (SAS) of Hearth by its admins."""
