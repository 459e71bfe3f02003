"""Calls of tools: how models write them, which grammar they follow, and how they are found in a reply."""
