"""Reads files in a child process, so that no file can harm more than itself."""
