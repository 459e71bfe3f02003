"""Model loading, and the equivalence tests that run at load."""
