"""OpenAI-compatible HTTP endpoint: the model for other programs."""
