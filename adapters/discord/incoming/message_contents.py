"""Everything that a message says or brings: its text, forwarded messages, a poll, embeds of programs, files."""

from collections.abc import Iterator

import discord


def own_text(message: discord.Message) -> str:
    """The text that its author wrote or forwarded, and the question and choices of a poll."""
    parts = [message.content, *(snapshot.content for snapshot in message.message_snapshots), _poll_text(message.poll)]
    return "\n".join(part for part in parts if part.strip())


def shown_text(message: discord.Message) -> str:
    """The text that people see of it; of bots and webhooks the embeds too, which are all that many of them send."""
    is_program = message.author.bot or message.webhook_id is not None
    embeds = message.embeds if is_program else []
    forwarded = [embed for snapshot in message.message_snapshots for embed in snapshot.embeds if not snapshot.content]
    parts = [own_text(message), *(_embed_text(embed) for embed in (*embeds, *forwarded))]
    return "\n".join(part for part in parts if part.strip())


def all_files(message: discord.Message) -> list[discord.Attachment]:
    """Its files and those of forwarded messages."""
    return [*message.attachments, *(file for snapshot in message.message_snapshots for file in snapshot.attachments)]


def is_empty(message: discord.Message) -> bool:
    """Whether there is nothing in it to read."""
    return not (shown_text(message) or all_files(message))


def _poll_text(poll: discord.Poll | None) -> str:
    if poll is None:
        return ""
    return "\n".join([poll.question, *(f"- {answer.text}" for answer in poll.answers)])


def _embed_text(embed: discord.Embed) -> str:
    return "\n".join(line for line in _embed_lines(embed) if line.strip())


def _embed_lines(embed: discord.Embed) -> Iterator[str]:
    yield embed.author.name or ""
    yield embed.title or ""
    yield embed.description or ""
    for field in embed.fields:
        yield ": ".join(part for part in (field.name, field.value) if part)
    yield embed.footer.text or ""
