"""Incoming side of the chat platforms: access rules, settings, ordering, and the questions being answered."""
