"""Input lines of the console: their models, and sentences for invalid lines."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Name = Annotated[str, Field(min_length=1, max_length=200)]

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escaped surrogate; JSON allows a lone one, and no later stage could store it."""


class AttachmentLine(BaseModel):
    """An attached file: a path on this machine, or its bytes as base64 in `data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1)] | None = None
    name: Name | None = None
    media_type: str = ""
    data: str | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _has_one_origin(self) -> "AttachmentLine":
        if (self.path is None) == (self.data is None):
            raise ValueError("an attachment needs either `path` or `data`")
        if self.data is not None and self.name is None:
            raise ValueError("an attachment with `data` needs a `name`")
        return self

    def decode_data(self) -> bytes:
        """The bytes in `data`. Raises BadLine."""
        try:
            return base64.b64decode(self.data or "", validate=True)
        except binascii.Error as error:
            raise BadLine(f"attachments: the data of {self.name} is not base64") from error


class MessageLine(BaseModel):
    """A message. With `private` false it was written in a room, whose readers are `audience` or the room itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversation: Name = "local"
    author: Name = "local"
    text: str
    addressed: bool = True
    event_id: Name | None = None
    sent_at: float | None = Field(default=None, allow_inf_nan=False)
    admin: bool = False
    private: bool = True
    audience: tuple[Name, ...] | None = None
    attachments: tuple[AttachmentLine, ...] = ()


class StopLine(BaseModel):
    """Stops the answers of a conversation, of one author only if given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop: Name
    author: Name | None = None


class WithdrawnQuestion(BaseModel):
    """Names a question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversation: Name = "local"
    event_id: Name


class WithdrawLine(BaseModel):
    """The question was deleted: stops its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    withdraw: WithdrawnQuestion


InputLine = MessageLine | StopLine | WithdrawLine


@dataclass(eq=False)
class BadLine(Exception):
    """An invalid line; `reason` is a sentence without any of the line's content."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def parse_line(line: bytes | None) -> InputLine:
    """Parse a line; None is a line over the limit. Raises BadLine."""
    if line is None:
        raise BadLine("the line is too long")
    content = _json_object(line)
    model = StopLine if "stop" in content else WithdrawLine if "withdraw" in content else MessageLine
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BadLine("; ".join(_fault_sentence(fault) for fault in error.errors(include_input=False))) from None


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadLine("the line is not UTF-8") from None
    except (ValueError, RecursionError):
        raise BadLine("the line is not JSON") from None
    if not isinstance(content, dict):
        raise BadLine("the line is not a JSON object")
    if SURROGATE.search(line) and not _is_unicode(content):
        raise BadLine("the line has half a surrogate pair, which is no character")
    return content


def _is_unicode(content: dict[str, Any]) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _fault_sentence(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{where}: is not a key of this line"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
