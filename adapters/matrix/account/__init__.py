"""Hearth's Matrix account: login, cross-signing identity, and the signature of its device."""
