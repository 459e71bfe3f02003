"""Channels that carry JSON objects as lines: over a socket, or over standard input and output."""
