"""What an admin may want to know of the encryption, as lines for `stats`."""

from collections.abc import Sequence

from adapters.matrix.account.cross_signing import SigningStatus
from adapters.matrix.account.identity import Verifier
from adapters.matrix.texts import localize
from bot.core.texts import Language


def health_lines(
    language: Language, standing: SigningStatus | None, verifiers: Sequence[Verifier], undecryptable: int
) -> list[str]:
    """Whether the device is signed as far as known, who has verified it, and how many messages stayed unreadable."""
    people = ", ".join(f"{each.user_id} ({each.verified_at:%Y-%m-%d})" for each in verifiers)
    return [
        _signed(language, standing),
        localize("matrix_verified_by", language, people=people)
        if people
        else localize("matrix_verified_by_nobody", language),
        localize("matrix_undecryptable", language, count=undecryptable),
    ]


def _signed(language: Language, standing: SigningStatus | None) -> str:
    if standing is None:
        return localize("matrix_signed_unknown", language)
    return localize("matrix_signed" if standing.is_signed else "matrix_unsigned", language)
