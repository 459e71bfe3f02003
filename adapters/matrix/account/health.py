"""State of the encryption for admins, as lines for `stats`."""

from collections.abc import Sequence

from adapters.matrix.account.cross_signing import SigningStatus
from adapters.matrix.account.identity import Verifier
from adapters.matrix.texts import localize
from bot.core.texts import Language


def health_lines(
    language: Language, status: SigningStatus | None, verifiers: Sequence[Verifier], undecryptable: int
) -> list[str]:
    """The device's signature as last known, the users who verified it, and the count of undecryptable messages."""
    people = ", ".join(f"{each.user_id} ({each.verified_at:%Y-%m-%d})" for each in verifiers)
    return [
        _signed(language, status),
        localize("matrix_verified_by", language, people=people)
        if people
        else localize("matrix_verified_by_nobody", language),
        localize("matrix_undecryptable", language, count=undecryptable),
    ]


def _signed(language: Language, status: SigningStatus | None) -> str:
    if status is None:
        return localize("matrix_signed_unknown", language)
    return localize("matrix_signed" if status.is_signed else "matrix_unsigned", language)
