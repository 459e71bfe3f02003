"""The console as a platform: JSON lines from local clients. It always runs."""

from adapters.console.settings import ConsoleSettings
from adapters.local_chat import LocalChatAdapter, LocalChatPlatform
from adapters.platform import BuildContext, NameForm

ANY_NAME = (NameForm("", r"\S.*", "console:ana"),)
"""Conversations and authors have any name that the client gives them."""


def build_adapter(settings: ConsoleSettings, context: BuildContext) -> LocalChatAdapter:
    """The adapter that serves the home channel, if there is one, and the clients of the local socket."""
    from adapters.console.adapter import ConsoleAdapter

    return ConsoleAdapter(settings, context.home)


CONSOLE = LocalChatPlatform(
    name="console",
    title="Console",
    summary="How conversations on the console are shown.",
    settings=ConsoleSettings,
    build=build_adapter,
    reader_forms=ANY_NAME,
    person_forms=ANY_NAME,
)
