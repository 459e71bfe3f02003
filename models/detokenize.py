"""Incremental UTF-8 decoding of token bytes."""

import codecs


class Utf8Decoder:
    """Decodes bytes to text without splitting a character; bytes that are not UTF-8 become U+FFFD.

    A character that is never completed, where an answer is cut, is left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push_bytes(self, data: bytes) -> str:
        """The characters that these bytes complete."""
        return self._decoder.decode(data)
