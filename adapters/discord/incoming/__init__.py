"""Messages from Discord, as questions for the core."""
