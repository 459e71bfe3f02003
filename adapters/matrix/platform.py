"""Matrix as a platform. Its library is imported only when the adapter is built, checked, or logged in."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from adapters.matrix.ids import PERSON_FORMS, READER_FORMS
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.texts import TEXTS
from adapters.platform import BuildContext, Check, CheckContext, CommandGroup, Platform, PlatformAdapter

if TYPE_CHECKING:
    import click


def build_adapter(settings: MatrixSettings, context: BuildContext) -> PlatformAdapter:
    """The adapter for the account that `hearth matrix login` has set up."""
    from adapters.matrix.adapter import MatrixAdapter

    return MatrixAdapter(settings, context.data_folder, context.profile)


async def check(settings: MatrixSettings, context: CheckContext) -> AsyncIterator[Check]:
    """Whether the login works, and its device is signed."""
    from adapters.matrix.checks import check_account

    async for each in check_account(settings, context):
        yield each


def load_commands() -> "click.Group":
    """The commands `login` and `status`."""
    from adapters.matrix.cli import matrix

    return matrix


MATRIX = Platform(
    name="matrix",
    title="Matrix",
    summary="Where and whom Hearth answers on Matrix.",
    settings=MatrixSettings,
    build=build_adapter,
    check=check,
    commands=CommandGroup("Log in to Matrix once, and see how the account stands.", load_commands),
    texts=TEXTS,
    replaced_keys={
        "attachments": "attachment_limit",
        "catch_up_s": "catch_up_max_age_s",
        "each_room": "room_overrides",
        "reply_chain": "reply_chain_limit",
    },
    reader_forms=READER_FORMS,
    person_forms=PERSON_FORMS,
)
