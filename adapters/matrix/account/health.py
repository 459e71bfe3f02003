"""What an admin may want to know of the encryption, as lines for `stats`."""

from collections.abc import Sequence

from adapters.matrix.account.cross_signing import Standing
from adapters.matrix.account.identity import Verifier
from bot.core.texts import Language, say


def health_lines(
    language: Language, standing: Standing | None, verifiers: Sequence[Verifier], undecryptable: int
) -> list[str]:
    """Whether the device is signed as far as known, who has verified it, and how many messages stayed unreadable."""
    people = ", ".join(f"{each.user_id} ({each.at:%Y-%m-%d})" for each in verifiers)
    return [
        _signed(language, standing),
        say("matrix_verified_by", language, people=people) if people else say("matrix_verified_by_nobody", language),
        say("matrix_undecryptable", language, count=undecryptable),
    ]


def _signed(language: Language, standing: Standing | None) -> str:
    if standing is None:
        return say("matrix_signed_unknown", language)
    return say("matrix_signed" if standing.is_signed else "matrix_unsigned", language)
