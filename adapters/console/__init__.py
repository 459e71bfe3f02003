"""The console: conversations as JSON lines over standard input and output, or over the local socket."""
