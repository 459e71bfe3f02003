"""Encodes texts, values and padding of GGUF files, for all that write such files in tests and benchmarks."""

import struct

from tests.fakes.tiny_vocabulary import Value

ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9  # GGUF value types


def encode_text(text: str) -> bytes:
    """A text with its length before it."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def encode_value(value: Value) -> bytes:
    """A value of the metadata with its type before it."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + encode_text(value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(encode_text(str(each)) for each in value)
    kind, form = (_FLOAT32, "f") if isinstance(value[0], float) else (_INT32, "i")
    return struct.pack(f"<IIQ{len(value)}{form}", _ARRAY, kind, len(value), *value)


def pad(data: bytes) -> bytes:
    """The data, filled up to the alignment."""
    return data + bytes(-len(data) % ALIGNMENT)
