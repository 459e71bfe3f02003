"""The program and its core: config, commands, daemon, endpoints."""
