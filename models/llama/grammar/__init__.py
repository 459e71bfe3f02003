"""Grammars that make a reply follow a JSON schema."""
