"""Plans made before decoding: hardware, memory, prefill chunks."""
