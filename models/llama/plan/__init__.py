"""Planning before decoding: hardware, memory, prefill chunks."""
