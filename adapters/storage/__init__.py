"""Small files of the adapters: state that survives restarts, and secrets."""
