"""The house's model for other programs, over HTTP as OpenAI's clients speak it."""
