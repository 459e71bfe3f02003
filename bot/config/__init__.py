"""The configuration: schema, loading, and errors with path and line."""
