"""Serialization of messages, sources and timings for the history database."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from bot.core.messages import (
    Attachment,
    Audience,
    ContextMessage,
    ConversationId,
    Message,
    NotFetched,
    Person,
    Source,
    Timings,
    TooLarge,
)
from knowledge.passages import PassageLocation

_OWN_TYPES = "application/vnd.hearth."
_TOO_LARGE = f"{_OWN_TYPES}too-large; limit="
_NOT_FETCHED = f"{_OWN_TYPES}not-fetched"
_UNKNOWN = "application/octet-stream"


def message_to_json(message: Message) -> str:
    """A message as JSON, without its attachments, which have a table of their own."""
    return json.dumps(
        {
            "author": asdict(message.author),
            "text": message.text,
            "addressed": message.addressed,
            "audience": {"names": sorted(message.audience.names), "private": message.audience.private},
            "sent_at": message.sent_at,
            "command": message.command,
            "context": [[each.speaker, each.text, each.person] for each in message.context],
            "platform_data": dict(message.platform_data),
        },
        ensure_ascii=False,
    )


def message_from_json(text: str, conversation: str, event_id: str, attachments: Iterable[Attachment]) -> Message:
    """The message that `message_to_json` wrote."""
    kept = json.loads(text)
    return Message(
        conversation=ConversationId(conversation),
        event_id=event_id,
        author=Person(**kept["author"]),
        text=kept["text"],
        addressed=kept["addressed"],
        audience=Audience(frozenset(kept["audience"]["names"]), kept["audience"]["private"]),
        sent_at=kept["sent_at"],
        attachments=tuple(attachments),
        command=kept["command"],
        context=tuple(ContextMessage(*each) for each in kept["context"]),
        platform_data=kept["platform_data"],
    )


def attachment_row(file: Attachment) -> tuple[str, str, bytes]:
    """An attachment as the columns name, media_type, data. The media type of one that is missing says why."""
    if isinstance(file.missing, TooLarge):
        return (file.name, f"{_TOO_LARGE}{file.missing.limit_bytes}", b"")
    if isinstance(file.missing, NotFetched):
        return (file.name, _NOT_FETCHED, b"")
    # The sender's word must not be taken for one of the marks.
    return (file.name, _UNKNOWN if file.media_type.startswith(_OWN_TYPES) else file.media_type, file.data)


def attachment_from_row(row: Iterable[Any]) -> Attachment:
    """The attachment that `attachment_row` wrote."""
    name, media_type, data = row
    if media_type.startswith(_TOO_LARGE):
        return Attachment.too_large(name, int(media_type.removeprefix(_TOO_LARGE)))
    return Attachment.not_fetched(name) if media_type == _NOT_FETCHED else Attachment(name, media_type, data)


def source_row(source: Source) -> tuple[Any, ...]:
    """A source as the columns number, collection, document, title, place, text, score."""
    place = json.dumps(asdict(source.place), ensure_ascii=False)
    return (source.number, source.collection, source.document, source.title, place, source.text, source.score)


def source_from_row(row: Iterable[Any]) -> Source:
    """The source that `source_row` wrote."""
    number, collection, document, title, place, text, score = row
    kept = json.loads(place)
    kept["heading"] = tuple(kept["heading"])
    return Source(number, collection, document, title, PassageLocation(**kept), text, score)


def timings_to_json(timings: Timings) -> str:
    """Timings as JSON."""
    return json.dumps(asdict(timings))


def timings_from_json(text: str) -> Timings:
    """The timings that `timings_to_json` wrote."""
    return Timings(**json.loads(text))
