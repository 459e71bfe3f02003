"""Reader of GGUF headers, with bounds on every length: the model's architecture and its memory requirements."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from models.gguf_split import part_paths

KvType = Literal["f16", "q8_0", "q4_0"]

# Bytes and elements of a block, by ggml type number (ggml.h and ggml-common.h of llama.cpp).
_BLOCKS: Mapping[int, tuple[int, int]] = {
    **{0: (4, 1), 1: (2, 1), 30: (2, 1), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1)},
    **{2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32), 20: (18, 32)},
    **{10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 15: (292, 256)},
    **{16: (66, 256), 17: (74, 256), 18: (98, 256), 19: (50, 256), 21: (110, 256), 22: (82, 256), 23: (136, 256)},
    **{29: (56, 256), 34: (54, 256), 35: (66, 256), 39: (17, 32)},
}
# llama.cpp allocates windows in steps of so many tokens, and knows of these architectures that each so-manieth layer
# attends to everything and the others to a window (`load_swa_pattern` in its src/models).
_WINDOW_STEP = 256
_WINDOW_PERIODS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "olmo2": 4, "exaone4": 4}
_KV_BYTES: Mapping[KvType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

_VOCABULARY = "tokenizer.ggml.tokens"

_LENGTH = struct.Struct("<Q")
_LENGTH_BYTES = 8
_PIECE_BYTES = 1 << 20

_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 18
_MAX_STRING_BYTES = 1 << 24
_MAX_ELEMENTS = 1 << 24
_MAX_KEPT_ELEMENTS = 4096
_MAX_DIMENSIONS = 4

_EXPERTS = "_exps."
"""In the names of the tensors of a mixture's experts."""


@dataclass(eq=False)
class NotGguf(Exception):
    """The file is not a usable GGUF; `reason` is the end of a sentence that begins with the file's name."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata of a GGUF model. `kv_width` is the number of K and V values of one token over all layers; `weight_types`
    are ggml's numbers for the types of its tensors; `expert_bytes` is the part of its weights that is a mixture's
    experts. `window_kv_width` is the part of `kv_width` in layers that attend to the last `window_tokens` alone.
    """

    architecture: str
    name: str
    size_bytes: int
    weights_bytes: int
    layers: int
    embedding_length: int
    heads: int
    vocabulary_size: int
    trained_context: int
    kv_width: int
    weight_types: frozenset[int]
    expert_bytes: int = 0
    window_tokens: int = 0
    window_kv_width: int = 0

    def kv_bytes(self, context_tokens: int, kv_type: KvType) -> int:
        """Bytes of the KV cache for a context with all cells of windows; an upper bound with recurrent layers."""
        return math.ceil(self.kv_width * _KV_BYTES[kv_type] * context_tokens)

    def reply_kv_bytes(self, context_tokens: int, kv_type: KvType, batch_tokens: int) -> int:
        """As `kv_bytes`, where of each sliding window only its tokens and a batch are kept, rounded as in llama.cpp."""
        window_tokens = -(-(self.window_tokens + batch_tokens) // _WINDOW_STEP) * _WINDOW_STEP
        saved_tokens = max(0, context_tokens - window_tokens)
        saved_bytes = self.window_kv_width * _KV_BYTES[kv_type] * saved_tokens
        return self.kv_bytes(context_tokens, kv_type) - math.floor(saved_bytes)

    def compute_bytes(self, batch_tokens: int, context_tokens: int) -> int:
        """Bytes of the compute buffers of a batch: for each token its attention to the context and 5 rows of the
        embedding, in float32; the logits of one token; another 8 MiB. An upper bound with flash attention; without it
        3 to 16 % above what llama.cpp allocates for models of 135 million and 1.5 billion parameters.
        """
        per_token_values = (self.heads + 1) * context_tokens + 5 * self.embedding_length
        return 4 * (batch_tokens * per_token_values + self.vocabulary_size) + (8 << 20)

    def memory_bytes(self, context_tokens: int, kv_type: KvType, batch_tokens: int = 256) -> int:
        """Bytes needed to run this model: weights, KV cache and compute buffers."""
        stored_bytes = self.weights_bytes + self.kv_bytes(context_tokens, kv_type)
        return stored_bytes + self.compute_bytes(batch_tokens, context_tokens)


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF model, of all parts of a split one, and check the sizes stated against the files'.

    `path` is the first part of a split model. Raises NotGguf for a file of another kind, damaged or cut off, or for a
    part that is missing; OSError when it cannot be read.
    """
    paths = part_paths(path)
    if path != paths[0]:
        raise NotGguf(f"is a part of a split model, which is named by its first part, {paths[0].name}")
    parts = [_read_part(each, paths) for each in paths]
    entries = parts[0].entries
    count = entries.get("split.count", 1)
    if count not in (0, len(parts)):
        raise NotGguf(f"is the first of {count} parts of a model, and its name does not say so: give it its own name")
    tensors = [tensor for part in parts for tensor in part.tensors]
    if not tensors:
        raise NotGguf("holds no weights")
    return _build_header(entries, parts, tensors)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """The place of a tensor: the end in bytes from the start of the data (its start if the type is unknown here)."""

    name: str
    kind: int
    size_bytes: int
    end: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A GGUF file: its metadata, its tensors, and the bytes of the file and of the tensors."""

    entries: Mapping[str, object]
    tensors: list[_Tensor]
    size_bytes: int
    weights_bytes: int


def _read_part(path: Path, parts: list[Path]) -> _Part:
    try:
        return _read_file(path)
    except FileNotFoundError as error:
        if path == parts[0]:
            raise
        raise NotGguf(f"is split into {len(parts)} parts, and {path.name} is missing") from error
    except NotGguf as error:
        if path == parts[0]:
            raise
        raise NotGguf(f"is split into {len(parts)} parts, and {path.name} {error.reason}") from error


def _read_file(path: Path) -> _Part:
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file)
        try:
            tensor_count, entry_count = _read_preamble(reader)
            entries = dict(_read_entry(reader) for _ in range(entry_count))
            tensors = [_read_tensor(reader) for _ in range(tensor_count)]
        except (struct.error, UnicodeDecodeError, RecursionError) as error:
            raise NotGguf("has a damaged header") from error
        weights_bytes = _check_complete(entries, [tensor.end for tensor in tensors], reader.position, size)
    return _Part(entries, tensors, size, weights_bytes)


class _Reader:
    """Reads values in sequence, never past the end of the file: in large pieces, as a header has 300,000 strings."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._fetched_bytes = 0

    @property
    def position(self) -> int:
        """The number of bytes read."""
        return self._fetched_bytes - len(self._data) + self._at

    def _require(self, count: int) -> None:
        """Have so many bytes at hand. Raises NotGguf when the file ends before."""
        left = len(self._data) - self._at
        if left >= count:
            return
        fetched = self._file.read(max(count - left, _PIECE_BYTES))
        if left + len(fetched) < count:
            raise NotGguf("ends in the middle of its header: the download was probably cut off")
        self._data, self._at = self._data[self._at :] + fetched, 0
        self._fetched_bytes += len(fetched)

    def read_bytes(self, count: int) -> bytes:
        self._require(count)
        self._at += count
        return self._data[self._at - count : self._at]

    def read_number(self, code: str) -> int:
        value = struct.unpack("<" + code, self.read_bytes(struct.calcsize(code)))[0]
        return int(value)

    def read_count(self, limit: int) -> int:
        value = self.read_number("Q")
        if value > limit:
            raise NotGguf("has a damaged header")
        return value

    def read_text(self) -> str:
        return self.read_bytes(self.read_count(_MAX_STRING_BYTES)).decode("utf-8", errors="replace")

    def read_strings(self, count: int) -> list[bytes]:
        """So many strings. The same as reading each of them, in a fifth of the time."""
        texts: list[bytes] = []
        length_at, data, at, size = _LENGTH.unpack_from, self._data, self._at, len(self._data)
        for _ in range(count):
            start = at + _LENGTH_BYTES
            if start <= size:
                (length,) = length_at(data, at)
                if start + length <= size:
                    at = start + length
                    texts.append(data[start:at])
                    continue
            self._at = at
            texts.append(self.read_bytes(self.read_count(_MAX_STRING_BYTES)))
            data, at, size = self._data, self._at, len(self._data)
        self._at = at
        return texts

    def skip_bytes(self, count: int) -> None:
        while count > 0:
            count -= len(self.read_bytes(min(count, _PIECE_BYTES)))


def _read_preamble(reader: _Reader) -> tuple[int, int]:
    if (magic := reader.read_bytes(4)) != b"GGUF":
        raise NotGguf(f"is not a GGUF file (it begins with {magic!r})")
    version = reader.read_number("I")
    if version not in (2, 3):
        raise NotGguf(f"has GGUF version {version}, and versions 2 and 3 are understood")
    return reader.read_count(_MAX_TENSORS), reader.read_count(_MAX_ENTRIES)


def _read_entry(reader: _Reader) -> tuple[str, object]:
    key = reader.read_text()
    if key == _VOCABULARY:
        return key, _read_vocabulary(reader)
    return key, _read_value(reader, reader.read_number("I"))


def _read_vocabulary(reader: _Reader) -> int:
    """The number of tokens. llama.cpp aborts the process when two are equal, as after a flipped bit."""
    if (reader.read_number("I"), reader.read_number("I")) != (_ARRAY, _STRING):
        raise NotGguf("has a damaged vocabulary")
    count = reader.read_count(_MAX_ELEMENTS)
    if len(set(reader.read_strings(count))) != count:
        raise NotGguf("has a damaged vocabulary")
    return count


def _read_value(reader: _Reader, kind: int) -> object:
    if kind == _STRING:
        return reader.read_text()
    if kind == _ARRAY:
        return _read_array(reader)
    if kind not in _SCALARS:
        raise NotGguf("has a damaged header")
    code = _SCALARS[kind]
    return struct.unpack("<" + code, reader.read_bytes(struct.calcsize(code)))[0]


def _read_array(reader: _Reader) -> object:
    """A short array of numbers as a tuple; for others (vocabularies) only the length."""
    kind = reader.read_number("I")
    count = reader.read_count(_MAX_ELEMENTS)
    if kind in _SCALARS:
        code = _SCALARS[kind]
        if count <= _MAX_KEPT_ELEMENTS:
            return struct.unpack(f"<{count}{code}", reader.read_bytes(count * struct.calcsize(code)))
        reader.skip_bytes(count * struct.calcsize(code))
    elif kind == _STRING:
        reader.read_strings(count)
    else:
        raise NotGguf("has a damaged header")
    return count


def _read_tensor(reader: _Reader) -> _Tensor:
    name = reader.read_bytes(reader.read_count(1 << 10)).decode("utf-8", errors="replace")
    dimensions = reader.read_number("I")
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise NotGguf("has a damaged header")
    elements = math.prod(reader.read_number("Q") for _ in range(dimensions))
    kind = reader.read_number("I")
    offset = reader.read_number("Q")
    block_bytes, block_elements = _BLOCKS.get(kind, (0, 1))
    size_bytes = elements * block_bytes // block_elements
    return _Tensor(name, kind, size_bytes, offset + size_bytes)


def _check_complete(entries: Mapping[str, object], ends: list[int], header_bytes: int, size: int) -> int:
    """The bytes of all tensors. Raises NotGguf when the file is shorter than its header states."""
    alignment = _integer(entries, "general.alignment", 32)
    if not 1 <= alignment <= 1 << 20:
        raise NotGguf("has a damaged header")
    if not ends:
        return 0  # as in the first part of some split models, which holds nothing but metadata
    weights = max(ends)
    expected_bytes = math.ceil(header_bytes / alignment) * alignment + weights
    if expected_bytes > size:
        raise NotGguf(f"should have {expected_bytes:,} bytes and has {size:,}: the download was probably cut off")
    return weights


def _build_header(entries: Mapping[str, object], parts: list[_Part], tensors: list[_Tensor]) -> GgufHeader:
    architecture = entries.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise NotGguf("does not name its architecture")
    name = entries.get("general.name")
    return GgufHeader(
        architecture=architecture,
        name=name if isinstance(name, str) else "",
        size_bytes=sum(part.size_bytes for part in parts),
        weights_bytes=sum(part.weights_bytes for part in parts),
        layers=_integer(entries, f"{architecture}.block_count", 0),
        embedding_length=_integer(entries, f"{architecture}.embedding_length", 0),
        heads=_largest(entries.get(f"{architecture}.attention.head_count", 0)),
        vocabulary_size=_integer(entries, _VOCABULARY, 0),
        trained_context=_integer(entries, f"{architecture}.context_length", 0),
        kv_width=_kv_width(entries, architecture),
        weight_types=frozenset(tensor.kind for tensor in tensors),
        expert_bytes=sum(tensor.size_bytes for tensor in tensors if _EXPERTS in tensor.name),
        window_tokens=_integer(entries, f"{architecture}.attention.sliding_window", 0),
        window_kv_width=_window_kv_width(entries, architecture),
    )


def _kv_width(entries: Mapping[str, object], architecture: str) -> int:
    """KV heads of all layers, times the length of a K head plus that of a V head."""
    kv_heads, length = _kv_heads(entries, architecture)
    if isinstance(kv_heads, tuple):
        return sum(map(_as_count, kv_heads)) * length
    # A damaged header may state any number of layers: they are not listed one by one.
    return _as_count(kv_heads) * _integer(entries, f"{architecture}.block_count", 0) * length


def _kv_heads(entries: Mapping[str, object], architecture: str) -> tuple[object, int]:
    """The KV heads of every layer or of each of them, and the length of a K head plus that of a V head."""
    heads = entries.get(f"{architecture}.attention.head_count", 0)
    kv_heads = entries.get(f"{architecture}.attention.head_count_kv", heads)
    head_length = _integer(entries, f"{architecture}.embedding_length", 0) // max(1, _largest(heads))
    key = _integer(entries, f"{architecture}.attention.key_length", head_length)
    value = _integer(entries, f"{architecture}.attention.value_length", head_length)
    return kv_heads, key + value


def _window_kv_width(entries: Mapping[str, object], architecture: str) -> int:
    """The part of the KV width in layers with a sliding window: a file says which they are, layer by layer or as the
    period of those without, or it is llama.cpp that knows. 0 when it cannot be told.
    """
    layers = _integer(entries, f"{architecture}.block_count", 0)
    if _integer(entries, f"{architecture}.attention.sliding_window", 0) == 0 or layers > _MAX_KEPT_ELEMENTS:
        return 0
    kv_heads, length = _kv_heads(entries, architecture)
    widths = [_as_count(each) * length for each in (kv_heads if isinstance(kv_heads, tuple) else (kv_heads,) * layers)]
    pattern = entries.get(f"{architecture}.attention.sliding_window_pattern", _WINDOW_PERIODS.get(architecture, 0))
    if isinstance(pattern, tuple):
        return sum(width for width, is_window in zip(widths, pattern, strict=False) if is_window)
    period = _as_count(pattern)
    return sum(width for number, width in enumerate(widths) if period and number % period < period - 1)


def _largest(value: object) -> int:
    """The largest of the numbers given per layer, or the one given for all layers."""
    return max(map(_as_count, value), default=0) if isinstance(value, tuple) else _as_count(value)


def _integer(entries: Mapping[str, object], key: str, default: int) -> int:
    return _as_count(entries.get(key, default))


def _as_count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 40 else 0
