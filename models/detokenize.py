"""Text from the bytes of tokens, as they come."""

import codecs


class Utf8Decoder:
    """Joins bytes into text without ever splitting a character; bytes that are no UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push_bytes(self, data: bytes) -> str:
        """The characters that are complete now."""
        return self._decoder.decode(data)

    def flush(self) -> str:
        """A mark for the character that never became complete, or nothing."""
        return self._decoder.decode(b"", final=True)
