"""Document search: reads, indexes and searches documents; independent of chat platforms and language models."""
