"""A loaded GGUF model: vocabulary, tokenization, token bytes and chat template."""

import ctypes
import re
import threading
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.engine import EngineFailed
from models.llama.native.control_texts import ControlTextFinder
from models.thinking_marks import CHANNEL, HARMONY_TOKENS, ThinkingMarks, find_thinking_marks

_TOKEN_BUFFER_BYTES = 256
# Of llama_token_attr and llama_vocab_type.
_UNKNOWN, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 3, 1 << 4
_PARSED = _UNKNOWN | _CONTROL | _USER_DEFINED
_BPE_VOCABULARY = 2
_DELIMITER = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
_TAG = re.compile(r"<.+>|\[.+\]|◁.+▷", re.DOTALL)
_MAX_RUN_CHARACTERS = 8000
"""llama.cpp splits text by std::regex, which recurses for each character of a word: one of 26,000 overflows the stack
of 8 MB and kills the process (https://github.com/ggml-org/llama.cpp/issues/27783).
"""
_MAX_RUN_DIGITS = 999
"""Some vocabularies look ahead from each digit to the end of its number: 30,000 digits take half a minute."""
_LONG_RUNS = (
    (re.compile(rf"\S{{{_MAX_RUN_CHARACTERS + 1},}}|\s{{{_MAX_RUN_CHARACTERS + 1},}}"), _MAX_RUN_CHARACTERS),
    (re.compile(rf"\d{{{_MAX_RUN_DIGITS + 1},}}"), _MAX_RUN_DIGITS),
)


class LlamaModel:
    """Weights and vocabulary. `tokenize` is callable from any thread, everything else from the inference thread."""

    def __init__(self, library: Any, handle: Any, path: Path, mapped: bool) -> None:
        self._library = library
        self._vocab = library.llama_model_get_vocab(handle)
        self._lock = threading.Lock()
        self._token_bytes: dict[int, bytes] = {}
        self.handle = handle
        self.path = path
        self.vocabulary_size = int(library.llama_vocab_n_tokens(self._vocab))
        self.bos_token = int(library.llama_vocab_bos(self._vocab))
        self.parameter_count = int(library.llama_model_n_params(handle))
        self._mapped_file = _file_identity(path) if mapped else None
        self.adds_bos = bool(library.llama_vocab_get_add_bos(self._vocab))
        self._template_text = self.chat_template or ""
        self._may_overflow = int(library.llama_vocab_type(self._vocab)) == _BPE_VOCABULARY

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    @property
    def vocab(self) -> Any:
        """llama.cpp's pointer to the vocabulary."""
        return self._vocab

    @property
    def chat_template(self) -> str | None:
        """The Jinja template in the file, if it has one."""
        template = self._library.llama_model_chat_template(self.handle, None)
        return template.decode("utf-8", errors="replace") if template else None

    def token_text(self, token: int) -> str:
        """The text of a token in the vocabulary; empty for no token."""
        text = self._library.llama_vocab_get_text(self._vocab, token) if 0 <= token < self.vocabulary_size else None
        return text.decode("utf-8", errors="replace") if text else ""

    @property
    def eos_token(self) -> int:
        """The end-of-sequence token, -1 for none."""
        return int(self._library.llama_vocab_eos(self._vocab))

    @property
    def eos_text(self) -> str:
        """The text of the end-of-sequence token in the vocabulary."""
        return self.token_text(self.eos_token)

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Texts and tokens of the kinds that llama.cpp parses in a text: control, user-defined and unknown ones."""
        attributes_of, vocab = self._library.llama_vocab_get_attr, self._vocab
        special = [token for token in range(self.vocabulary_size) if attributes_of(vocab, token) & _PARSED]
        return {text: token for token in special if (text := self.token_text(token))}

    @cached_property
    def thinking_marks(self) -> ThinkingMarks:
        """The marks of thinking: those that are known, and the model's own."""
        return find_thinking_marks(self.special_tokens, self._template_text)

    @cached_property
    def thinking_tokens(self) -> frozenset[int]:
        """Tokens that delimit thinking or answers, and are decoded to text for the filter that looks for them."""
        texts = self.thinking_marks.texts
        own = frozenset(token for text, token in self.special_tokens.items() if text in texts)
        return own | self.channel_tokens

    @cached_property
    def channel_tokens(self) -> frozenset[int]:
        """Tokens that delimit messages in named channels, for models that have these (gpt-oss)."""
        if CHANNEL not in self.special_tokens:
            return frozenset()
        return frozenset(token for text, token in self.special_tokens.items() if text in HARMONY_TOKENS)

    def use_template(self, text: str) -> None:
        """Take note of a chat template that is used besides the file's, before anything is tokenized or decoded."""
        self._template_text += text

    def control_texts(self) -> list[str]:
        """The texts that are parsed as the delimiters of turns and the like, although a person may have written them.

        llama.cpp parses user-defined tokens as it does control tokens. Among them are words of markup, and delimiters:
        those of gpt-oss, and of files whose converter gave them the wrong type. Delimiters look like one, are named in
        the template, or delimit thinking.
        """
        attributes_of = self._library.llama_vocab_get_attr
        return [
            text
            for text, token in self.special_tokens.items()
            if attributes_of(self._vocab, token) & (_CONTROL | _UNKNOWN)
            or _DELIMITER.fullmatch(text)
            or (_TAG.fullmatch(text) and text in self._template_text)
            or text in self.thinking_marks.texts
        ]

    def require_unchanged(self) -> None:
        """Raise EngineFailed when the file is mapped and was overwritten in place, which changes the weights in memory.
        A file that was replaced or deleted stays intact until it is unmapped.
        """
        identity = self._mapped_file
        if identity is None or (current := _file_identity(self.path)) is None:
            return
        if current[0] == identity[0] and current != identity:
            raise EngineFailed(
                f"The model file {self.path} was overwritten while it is in use. Start the program again."
            )

    def tokenize(self, text: str, parse_control: bool) -> list[int]:
        """The tokens of a text; with `parse_control` the texts of control tokens are parsed as control tokens.

        Raises EngineFailed once the model is freed.
        """
        cuts = self._cuts(text, parse_control) if self._may_overflow and len(text) > _MAX_RUN_CHARACTERS else []
        if not cuts:
            return self._tokenize_piece(text, parse_control)
        pieces = (text[start:end] for start, end in pairwise([0, *cuts, len(text)]))
        return [token for piece in pieces for token in self._tokenize_piece(piece, parse_control)]

    def _cuts(self, text: str, parse_control: bool) -> list[int]:
        """Where a text is cut: within runs of digits, and without or of white space, and never in a control text."""
        runs = [(run.span(), limit) for pattern, limit in _LONG_RUNS for run in pattern.finditer(text)]
        cuts = sorted({cut for (start, end), limit in runs for cut in range(start + limit, end, limit)})
        if not cuts or not parse_control:
            return cuts
        spans = list(self._control_finder.find_all(text))
        return [min((start for start, end in spans if start < cut < end), default=cut) for cut in cuts]

    @cached_property
    def _control_finder(self) -> ControlTextFinder:
        return ControlTextFinder(self.control_texts())

    def _tokenize_piece(self, text: str, parse_control: bool) -> list[int]:
        data = text.encode("utf-8", errors="replace")
        capacity = len(data) + 2
        tokens = (ctypes.c_int32 * capacity)()
        with self._lock:
            if self.handle is None:
                raise EngineFailed("The engine was closed.")
            count = self._library.llama_tokenize(self._vocab, data, len(data), tokens, capacity, False, parse_control)
        if count < 0:
            raise EngineFailed(f"The text needs {-count} tokens, more than it has bytes.")
        return list(tokens[:count])

    def is_end_token(self, token: int) -> bool:
        """Whether the token ends the model's turn."""
        return bool(self._library.llama_vocab_is_eog(self._vocab, token))

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token; empty for control tokens, except those that delimit thinking."""
        if (identity := self._token_bytes.get(token)) is not None:
            return identity
        shown = token in self.thinking_tokens
        buffer = ctypes.create_string_buffer(_TOKEN_BUFFER_BYTES)
        length = self._library.llama_token_to_piece(self._vocab, token, buffer, _TOKEN_BUFFER_BYTES, 0, shown)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._library.llama_token_to_piece(self._vocab, token, buffer, -length, 0, shown)
        self._token_bytes[token] = piece = buffer.raw[: max(0, length)]
        return piece

    def answer_bytes(self, token: int) -> bytes:
        """The bytes of a token within an answer: empty for all control tokens. Words of markup, which are user-defined
        tokens in some vocabularies, are text there.
        """
        is_control = token in self.thinking_tokens and self._library.llama_vocab_get_attr(self._vocab, token) & _CONTROL
        return b"" if is_control else self.token_bytes(token)

    def free(self) -> None:
        """Free the weights; the model must not be used afterwards."""
        with self._lock:
            handle, self.handle = self.handle, None
        if handle is not None:
            self._library.llama_model_free(handle)


def _file_identity(path: Path) -> tuple[tuple[int, int], int, int] | None:
    """Device and inode, size in bytes, and modification time in nanoseconds; None when the file is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns
