"""Decision which running replies are decoded in one call, and with drafts of which length, as a pure function."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from models.llama.decoding.draft_length import MIN_SPEEDUP, Drafter, expected_tokens

# Rounds in which the best tokens per second are approached; it changes little after the second.
_ROUNDS = 3

StepSeconds = Callable[[int, int], float]
"""Seconds of a step, by number of replies and tokens of each."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """Most replies in one call, longest draft of a reply alone and of several together, and most tokens in one call."""

    replies: int
    drafted_alone: int
    drafted_together: int
    tokens: int

    def max_drafted(self, replies: int) -> int:
        """Longest draft of each of so many replies in one call; -1 when they are too many for one call."""
        if replies > min(self.replies, self.tokens):
            return -1
        return min(self.drafted_alone if replies == 1 else self.drafted_together, self.tokens // replies - 1)


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Replies from index `first` to `end` that are decoded in one call, each with so many drafted tokens."""

    first: int
    end: int
    drafted: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A running reply: its sequence, and what can be drafted for it."""

    sequence: int
    drafter: Drafter


@dataclass(frozen=True, slots=True)
class _Option:
    """A group that is allowed, with the tokens that it is expected to bring in so many seconds."""

    group: DecodeGroup
    tokens: float
    seconds: float


def plan_groups(candidates: Sequence[Candidate], step_s: StepSeconds, limits: GroupLimits) -> tuple[DecodeGroup, ...]:
    """The groups that bring the most tokens per second, each reply in one of them.

    `candidates` are in the order of their sequences; only adjacent ones can be computed together. Without drafts, that
    is the least time for one token each, so never more than one after the other takes.
    """
    options = list(_options(candidates, step_s, limits))
    plain = [[each for each in ending if not each.group.drafted] for ending in options]
    plan = _best_plan(plain, lambda option: -option.seconds)
    if plain != options:
        for _ in range(_ROUNDS):
            tokens_per_s = sum(each.tokens for each in plan) / sum(each.seconds for each in plan)
            plan = _best_plan(options, _surplus_over(tokens_per_s))
    return tuple(option.group for option in plan)


def _surplus_over(tokens_per_s: float) -> Callable[[_Option], float]:
    return lambda option: option.tokens - tokens_per_s * option.seconds


def _options(candidates: Sequence[Candidate], step_s: StepSeconds, limits: GroupLimits) -> Iterator[list[_Option]]:
    """For each reply the groups that end with it."""
    gains = [
        [expected_tokens(each.drafter.acceptance_rate, drafted) for drafted in range(1 + each.drafter.tokens)]
        for each in candidates
    ]
    seconds = cache(step_s)
    for end in range(1, 1 + len(candidates)):
        ending: list[_Option] = []
        tokens: list[float] = []
        most = candidates[end - 1].drafter.tokens
        for first in range(end - 1, -1, -1):
            replies = end - first
            if first < end - 1 and candidates[first].sequence + 1 != candidates[first + 1].sequence:
                break
            if (most := min(most, candidates[first].drafter.tokens, limits.max_drafted(replies))) < 0:
                break
            tokens = [
                gain + (tokens[drafted] if tokens else 0) for drafted, gain in enumerate(gains[first][: 1 + most])
            ]
            ending += [
                _Option(
                    DecodeGroup(first, end, drafted),
                    tokens[drafted],
                    seconds(replies, 1 + drafted) * (MIN_SPEEDUP if drafted else 1.0),
                )
                for drafted in range(1 + most)
            ]
        yield ending


def _best_plan(options: Sequence[Sequence[_Option]], score: Callable[[_Option], float]) -> list[_Option]:
    """The groups, one for each reply, with the best sum of scores. `options` are those that end with each reply."""
    best: list[tuple[float, _Option | None]] = [(0.0, None)]
    for ending in options:
        value, _, option = max(
            (best[option.group.first][0] + score(option), -number, option) for number, option in enumerate(ending)
        )
        best.append((value, option))
    plan: list[_Option] = []
    end = len(options)
    while (chosen := best[end][1]) is not None:
        plan.append(chosen)
        end = chosen.group.first
    return plan[::-1]
