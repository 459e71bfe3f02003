"""Decoding of one reply: generation, sampling, speculative decoding, token stream."""
