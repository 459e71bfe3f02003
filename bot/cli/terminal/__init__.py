"""Output of the commands: consoles, plain text, and answers while they are written."""
