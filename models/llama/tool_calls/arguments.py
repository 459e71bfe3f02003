"""The end of a JSON object in a text that is still being written."""


class JsonObjectEnd:
    """Follows a JSON object up to its closing brace."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._is_escaped = False
        self.is_found = False
        """Whether the object has ended."""
        self.is_broken = False
        """Whether the text is no object."""

    def find(self, text: str) -> int:
        """The length of the part of a further piece that belongs to the object."""
        for position, character in enumerate(text):
            if self.is_found or self.is_broken:
                return position
            self._take(character)
        return len(text)

    def _take(self, character: str) -> None:
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = self._depth > 0
            self.is_broken = self._depth == 0
        elif character in "{[":
            self.is_broken = self._depth == 0 and character == "["
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_found = self._depth == 0
            self.is_broken = self._depth < 0
        else:
            self.is_broken = self._depth == 0 and not character.isspace()
