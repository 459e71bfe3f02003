"""Finds passages in documents. Knows no chat platform and no language model."""
