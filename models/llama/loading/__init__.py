"""Model loading, and the batch-invariance tests that run at load."""
