"""Our device: its keys, the room keys of others, and what it can read."""
