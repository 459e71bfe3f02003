"""What the engine is measured by: `make bench-engine`."""
