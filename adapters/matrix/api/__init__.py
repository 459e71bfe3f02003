"""HTTP client of the homeserver: requests, media, discovery, parsing, error sentences."""
