"""Draft length: what a draft of so many tokens is expected to bring.

Accepting a drafted token when the reply's own sampler chose it is rejection sampling for a draft that is one fixed
token: the token is accepted with the probability that the model gives it, and what is sampled instead has the model's
distribution without it. So drafts change no distribution, at any temperature.
"""

from dataclasses import dataclass

# Speed-up that a draft must promise, so that noise in the measurement does not switch drafting on.
MIN_SPEEDUP = 1.05


@dataclass(frozen=True, slots=True)
class Drafter:
    """What can be drafted for a reply: the number of tokens, and the probability that each is accepted."""

    tokens: int = 0
    acceptance_rate: float = 0.0


def expected_tokens(acceptance_rate: float, drafted: int) -> float:
    """Mean number of tokens that a reply gains in a step: one, and each drafted one up to the first rejected."""
    return sum(acceptance_rate**number for number in range(1 + drafted))
