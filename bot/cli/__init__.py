"""The `hearth` program: its command line, and its way to the process that owns the data folder."""
