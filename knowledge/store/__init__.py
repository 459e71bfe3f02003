"""The knowledge database: every SQL statement on its schema."""
