"""KV-cache reuse: tokenized prompts, slots, prefix cache, snapshots in memory and on disk."""
