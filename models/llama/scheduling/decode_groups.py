"""Decision which running replies are decoded in one call, and with drafts of which length, as a pure function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.llama.decoding.draft_length import MIN_SPEEDUP, Drafter, draftable_tokens, expected_tokens

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
class _Plan:
    """Groups, and the tokens that they are expected to bring in so many seconds."""

    groups: tuple[DecodeGroup, ...] = ()
    tokens: float = 0.0
    seconds: float = 0.0

    def plus(self, group: DecodeGroup, tokens: float, seconds: float) -> "_Plan":
        return _Plan((*self.groups, group), self.tokens + tokens, self.seconds + seconds)


def plan_groups(candidates: Sequence[Candidate], step_s: StepSeconds, limits: GroupLimits) -> tuple[DecodeGroup, ...]:
    """The groups that bring the most tokens per second, each reply in one of them.

    `candidates` are in the order of their sequences; only adjacent ones can be computed together. Without drafts, that
    is the least time for one token each, so never more than one after the other takes.
    """
    plan = _best_plan(candidates, step_s, limits, 0.0)
    for _ in range(_ROUNDS if any(each.drafter.tokens for each in candidates) else 0):
        plan = _best_plan(candidates, step_s, limits, plan.tokens / plan.seconds)
    return plan.groups


def _best_plan(candidates: Sequence[Candidate], step_s: StepSeconds, limits: GroupLimits, tokens_per_s: float) -> _Plan:
    """The plan with the most tokens, less those that `tokens_per_s` would bring in its time; with 0 the fastest one
    without drafts.
    """
    best = [_Plan()]
    for end in range(1, 1 + len(candidates)):
        plans = []
        for first in range(end - 1, -1, -1):
            drafters = [each.drafter for each in candidates[first:end]]
            if first < end - 1 and candidates[first].sequence + 1 != candidates[first + 1].sequence:
                break
            most = limits.max_drafted(len(drafters))
            most = draftable_tokens(drafters, most) if tokens_per_s else min(most, 0)
            for drafted in range(1 + most):
                tokens = sum(expected_tokens(each.acceptance_rate, drafted) for each in drafters)
                seconds = step_s(len(drafters), 1 + drafted) * (MIN_SPEEDUP if drafted else 1.0)
                plans.append(best[first].plus(DecodeGroup(first, end, drafted), tokens, seconds))
        best.append(
            max(plans, key=lambda plan: plan.tokens - tokens_per_s * plan.seconds if tokens_per_s else -plan.seconds)
        )
    return best[-1]
