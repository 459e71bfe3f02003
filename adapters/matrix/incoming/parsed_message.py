"""A message parsed from an event: its relation, text, mentions and file, read once and handed on."""

from dataclasses import dataclass, replace
from functools import cached_property

from adapters.matrix.event_content import HTML, MESSAGE, Relation, get_object, get_text, mentioned_users, relation_of
from adapters.matrix.events import Event
from adapters.matrix.incoming.file_info import FILE_MSGTYPES, FileInfo, parse_file
from adapters.matrix.incoming.pills import Pill, find_pills
from adapters.matrix.incoming.typed_text import typed_text

USER_MSGTYPES = frozenset({"m.text", "m.emote", *FILE_MSGTYPES})
VOICE = "org.matrix.msc3245.voice"


@dataclass(frozen=True)
class ParsedMessage:
    """The content of an event, with empty values where it has none or of a wrong type.

    `kind`: its msgtype. `mentions`: the users it states to mention, None when it states nothing. `caption`: the text of
    a file (client-server API, "Media captions"). `is_bare_file`: a file without a caption; a voice message is none,
    because it says something itself.
    """

    event: Event
    relation: Relation
    kind: str
    body: str
    formatted_body: str
    mentions: frozenset[str] | None
    file: FileInfo | None
    caption: str
    is_bare_file: bool

    @property
    def event_id(self) -> str:
        """The event's id."""
        return self.event.event_id

    @property
    def sender(self) -> str:
        """The author's user id."""
        return self.event.sender

    @property
    def room_id(self) -> str:
        """The room's id."""
        return self.event.room_id

    @property
    def is_message(self) -> bool:
        """Whether it is a message that has a content, so it was not redacted; notices and edits count."""
        return self.event.type == MESSAGE and self.event.state_key is None and bool(self.event.content)

    @property
    def is_user_message(self) -> bool:
        """Whether it is a message of a kind that people write, neither an edit nor a notice."""
        return self.is_message and self.kind in USER_MSGTYPES and not self.relation.replaces

    @cached_property
    def typed(self) -> str:
        """The text as it was typed; of a file its name or caption."""
        return typed_text(self.body, self.formatted_body, is_reply=bool(self.relation.in_reply_to))

    @property
    def text(self) -> str:
        """The text as it was typed; of a file its caption."""
        return self.typed if self.file is None or self.caption.strip() else ""

    @cached_property
    def pills(self) -> tuple[Pill, ...]:
        """The users that the formatted text links to, in order."""
        return find_pills(self.formatted_body)


def parse_message(event: Event) -> ParsedMessage:
    """Parse an event of any type; never raises for its content."""
    content = event.content
    kind, body, filename = get_text(content, "msgtype"), get_text(content, "body"), get_text(content, "filename")
    is_file = kind in FILE_MSGTYPES
    caption = body if is_file and filename and body != filename else ""
    return ParsedMessage(
        event=event,
        relation=relation_of(content),
        kind=kind,
        body=body,
        formatted_body=get_text(content, "formatted_body") if get_text(content, "format") == HTML else "",
        mentions=mentioned_users(content),
        file=parse_file(content, kind, filename or body) if is_file else None,
        caption=caption,
        is_bare_file=is_file and not caption.strip() and VOICE not in content,
    )


def apply_edit(original: ParsedMessage, edit: ParsedMessage) -> ParsedMessage | None:
    """A message with the new content of an edit; None when that is no edit of it by the same person, when it is a plain
    edit of an encrypted message, which the homeserver may have written, or when the message was redacted. Its relation
    to other messages stays as it was.
    """
    event, new = original.event, get_object(edit.event.content, "m.new_content")
    is_by_author = (edit.sender, edit.event.type) == (event.sender, event.type)
    if event.encrypted and not edit.event.encrypted:
        return None
    if not is_by_author or edit.relation.replaces != event.event_id or not new or not event.content:
        return None
    relates = get_object(event.content, "m.relates_to")
    content = {key: value for key, value in new.items() if key != "m.relates_to"}
    return parse_message(replace(event, content={**content, "m.relates_to": relates} if relates else content))
