"""What people write, as questions for the core."""
