"""The daemon's surfaces: local socket, HTTP endpoints, metrics, and the lock on the data folder."""
