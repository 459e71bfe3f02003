"""States as llama.cpp writes them, with random cells: what `llama_kv_cache::state_write` leaves, without a model."""

import random
import struct

_STREAMS, _LAYERS, _ROW_BYTES, _COLUMNS, _F16 = 2, 3, 256, 128, 1


def make_state(tokens: int, seed: int = 1, *, sequence: int = 0, is_transposed: bool = True, window: int = 0) -> bytes:
    """A state of so many tokens; that of more tokens with the same seed continues it. With a `window`, there is a
    second cache that holds only the last so many.
    """
    state = struct.pack("<II", 0x67677371, sequence)
    state += _cache(0, tokens, f"{seed} base", sequence, is_transposed)
    if window:
        state += _cache(max(0, tokens - window), tokens, f"{seed} window", sequence, is_transposed)
    return state


def _cache(first: int, end: int, seed: str, sequence: int, is_transposed: bool) -> bytes:
    written = struct.pack("<I", _STREAMS)
    for stream in range(_STREAMS):
        written += struct.pack("<I", end - first if stream == sequence % _STREAMS else 0)
        if stream == sequence % _STREAMS:
            written += b"".join(struct.pack("<iIi", position, 1, sequence) for position in range(first, end))
            written += struct.pack("<II", is_transposed, _LAYERS)
            for layer in range(_LAYERS):
                written += struct.pack("<iQ", _F16, _ROW_BYTES) + _rows(f"{seed} k{layer}", first, end, _ROW_BYTES)
            for layer in range(_LAYERS):
                written += _values(f"{seed} v{layer}", first, end, is_transposed)
    return written


def _values(seed: str, first: int, end: int, is_transposed: bool) -> bytes:
    if not is_transposed:
        return struct.pack("<iQ", _F16, _ROW_BYTES) + _rows(seed, first, end, _ROW_BYTES)
    columns = [_rows(f"{seed} {column}", first, end, 2) for column in range(_COLUMNS)]
    return struct.pack("<iII", _F16, 2, _COLUMNS) + b"".join(columns)


def _rows(seed: str, first: int, end: int, size_bytes: int) -> bytes:
    return random.Random(seed).randbytes(end * size_bytes)[first * size_bytes :]
