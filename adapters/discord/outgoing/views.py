"""The buttons under an answer: what they are called, and what their ids say after a restart."""

import re
from dataclasses import dataclass
from typing import Literal, Self

import discord

from adapters.discord.localization import language_of
from adapters.discord.outgoing.channel_transport import ViewFactory
from adapters.discord.reply_transport import ButtonSet
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
    r"hearth:(?P<action>stop|again|sources):(?P<event>\d{1,20}):(?P<asker>\d{1,20}):(?P<place>\d{1,20})(?P<private>p?)"
    r"(?::(?P<about>\d{1,20}))?"
)
LOCALE_KEY = "locale"
"""Where a message's platform data keep the locale that its buttons are labelled in."""

ABOUT_KEY = "about"
"""Where they keep the id of the message that a person pointed at, which asks instead of a text of their own."""


@dataclass(frozen=True, slots=True)
class ButtonId:
    """What a button is for: the answer to `event_id`, which `asker_id` asked for in `conversation`; `about` is the
    message that they pointed at.
    """

    action: ButtonAction
    event_id: str
    asker_id: int
    channel_id: int
    private: bool
    about: str = ""

    @property
    def message_id(self) -> int:
        """The message that asks."""
        return int(self.about or self.event_id)

    @property
    def conversation(self) -> ConversationId:
        """The conversation of the answer."""
        private = f"#private:{self.asker_id}" if self.private else ""
        return ConversationId(f"discord:{self.channel_id}{private}")

    @property
    def custom_id(self) -> str:
        """All of it, as the id of a button."""
        private = "p" if self.private else ""
        about = f":{self.about}" if self.about else ""
        return f"hearth:{self.action}:{self.event_id}:{self.asker_id}:{self.channel_id}{private}{about}"

    @classmethod
    def from_custom_id(cls, custom_id: str) -> Self | None:
        """What a button's id says; None when it is not one of ours."""
        found = BUTTON_ID.fullmatch(custom_id)
        if found is None:
            return None
        action: ButtonAction = found["action"]  # type: ignore[assignment]
        about = found["about"] or ""
        return cls(action, found["event"], int(found["asker"]), int(found["place"]), bool(found["private"]), about)


def view_factory(message: Message) -> ViewFactory:
    """Makes the buttons under the answer to a message; built from the message alone."""
    place, _, private = message.conversation.removeprefix("discord:").partition("#")
    asker = int(message.author.id.removeprefix("discord:"))
    language, about = language_of(message.platform_data.get(LOCALE_KEY)), message.platform_data.get(ABOUT_KEY, "")

    def view(buttons: ButtonSet) -> discord.ui.View:
        shown = ACTIONS_SHOWN[buttons]
        presses = [ButtonId(action, message.event_id, asker, int(place), bool(private), about) for action in shown]
        return _view(presses, language)

    return view


def _view(presses: list[ButtonId], language: Language) -> discord.ui.View:
    """An empty view, too, is worth sending: it takes away the buttons that were there."""
    view = discord.ui.View(timeout=None)
    for press in presses:
        view.add_item(_button(press, language))
    # Presses are told by their ids, also after a restart: the library need not keep each view of each message.
    view.stop()
    return view


def _button(press: ButtonId, language: Language) -> discord.ui.Button[discord.ui.View]:
    labels = {
        "stop": localize("button_stop", language),
        "again": localize("button_again", language),
        "sources": localize("button_sources", language),
    }
    return discord.ui.Button(label=labels[press.action], emoji=BUTTON_EMOJI[press.action], custom_id=press.custom_id)
