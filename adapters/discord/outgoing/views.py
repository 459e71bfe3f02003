"""Buttons under an answer: their labels, and ids that carry their meaning over a restart."""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

import discord

from adapters.discord.localization import language_of
from adapters.discord.outgoing.layout import ButtonSet
from adapters.discord.outgoing.transport import ViewFactory
from adapters.discord.texts import localize
from bot.core.messages import ConversationId, Message
from bot.core.texts import Language

ButtonAction = Literal["stop", "again", "sources"]
ACTIONS_SHOWN: dict[ButtonSet, tuple[ButtonAction, ...]] = {
    "none": (),
    "running": ("stop",),
    "ended": ("again", "sources"),
}
BUTTON_EMOJI: dict[ButtonAction, str] = {"stop": "⏹️", "again": "🔁", "sources": "📚"}

BUTTON_ID = re.compile(
    r"hearth:(?P<action>stop|again|sources):(?P<event>\d{1,20}):(?P<asker>\d{1,20}):(?P<channel>\d{1,20})(?P<private>p?)"
    r"(?::(?P<about>\d{1,20}))?"
)
LANGUAGE_KEY = "locale"
"""Key of the language of buttons and of Discord's own sentences in a message's platform data."""

ABOUT_KEY = "about"
"""Key of the id of the message that a person selected as the question, instead of a text of their own."""


@dataclass(frozen=True, slots=True)
class ButtonId:
    """The meaning of a button: it acts on the answer to `event_id`, which `asker_id` asked for in `conversation`;
    `about` is the message that they selected.
    """

    action: ButtonAction
    event_id: str
    asker_id: int
    channel_id: int
    private: bool
    about: str = ""

    @property
    def message_id(self) -> int:
        """The id of the message that holds the question."""
        return int(self.about or self.event_id)

    @property
    def conversation(self) -> ConversationId:
        """The conversation of the answer."""
        private = f"#private:{self.asker_id}" if self.private else ""
        return ConversationId(f"discord:{self.channel_id}{private}")

    @property
    def custom_id(self) -> str:
        """The id of the button."""
        private = "p" if self.private else ""
        about = f":{self.about}" if self.about else ""
        return f"hearth:{self.action}:{self.event_id}:{self.asker_id}:{self.channel_id}{private}{about}"

    @classmethod
    def from_custom_id(cls, custom_id: str) -> Self | None:
        """The meaning of a button's id; None when it is not one of ours."""
        found = BUTTON_ID.fullmatch(custom_id)
        if found is None:
            return None
        action: ButtonAction = found["action"]  # type: ignore[assignment]
        about = found["about"] or ""
        return cls(action, found["event"], int(found["asker"]), int(found["channel"]), bool(found["private"]), about)


def with_language(message: Message, language: Language) -> Message:
    """The message with the language of its buttons, which stays the same over a restart."""
    return replace(message, platform_data={**message.platform_data, LANGUAGE_KEY: language})


def language_of_message(message: Message) -> Language:
    """The language of the buttons under the answer to a message."""
    return language_of(message.platform_data.get(LANGUAGE_KEY))


def view_factory(message: Message) -> ViewFactory:
    """Makes the buttons under the answer to a message; built from the message alone."""
    channel_id, _, private = message.conversation.removeprefix("discord:").partition("#")
    asker = int(message.author.id.removeprefix("discord:"))
    language, about = language_of_message(message), message.platform_data.get(ABOUT_KEY, "")

    def view(buttons: ButtonSet) -> discord.ui.View:
        actions = ACTIONS_SHOWN[buttons]
        ids = [ButtonId(action, message.event_id, asker, int(channel_id), bool(private), about) for action in actions]
        return _view(ids, language)

    return view


def _view(ids: list[ButtonId], language: Language) -> discord.ui.View:
    """The buttons; an empty view, too, is sent, because it removes the buttons of an earlier one."""
    view = discord.ui.View(timeout=None)
    for button_id in ids:
        view.add_item(_button(button_id, language))
    # Presses are recognised by their ids, also after a restart: the library need not keep each view of each message.
    view.stop()
    return view


def _button(button_id: ButtonId, language: Language) -> discord.ui.Button[discord.ui.View]:
    labels = {
        "stop": localize("button_stop", language),
        "again": localize("button_again", language),
        "sources": localize("button_sources", language),
    }
    return discord.ui.Button(
        label=labels[button_id.action], emoji=BUTTON_EMOJI[button_id.action], custom_id=button_id.custom_id
    )
