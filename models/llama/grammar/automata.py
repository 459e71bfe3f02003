"""Regular expressions as deterministic automata: with one way to go on at each character, none can stall a reply.

llama.cpp follows all ways that a grammar leaves open, for each token of its vocabulary; those of `(.+)+` double with
each character of a token.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from models.llama.grammar.gbnf import refusal

MAX_STATES = 2500
_MAX_WORK = 100_000
"""States visited while an automaton is made deterministic, a fraction of a second."""

Ranges = Sequence[tuple[int, int]]
"""Code points, both ends included."""


@dataclass(slots=True)
class Nfa:
    """States with edges for characters, and with jumps for none."""

    edges: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    jumps: list[list[int]] = field(default_factory=list)

    def add_state(self) -> int:
        """The number of a new state. Raises SchemaRefused when there are too many."""
        if len(self.edges) > 4 * MAX_STATES:
            raise refusal("a pattern is too large")
        self.edges.append([])
        self.jumps.append([])
        return len(self.edges) - 1

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """The states, and those to which jumps lead from them."""
        found = set(states)
        waiting = list(found)
        while waiting:
            fresh = [state for state in self.jumps[waiting.pop()] if state not in found]
            found.update(fresh)
            waiting += fresh
        return frozenset(found)


Build = Callable[[Nfa, int], int]
"""Adds the states of an expression that begins at a state; returns the state at its end."""


def characters(ranges: Ranges) -> Build:
    """One character of the ranges."""

    def build(nfa: Nfa, start: int) -> int:
        end = nfa.add_state()
        nfa.edges[start].append((ranges, end))
        return end

    return build


def sequence(parts: Sequence[Build]) -> Build:
    """The parts one after another."""

    def build(nfa: Nfa, start: int) -> int:
        for part in parts:
            start = part(nfa, start)
        return start

    return build


def alternatives(parts: Sequence[Build]) -> Build:
    """One of the parts."""

    def build(nfa: Nfa, start: int) -> int:
        end = nfa.add_state()
        for part in parts:
            begin = nfa.add_state()
            nfa.jumps[start].append(begin)
            nfa.jumps[part(nfa, begin)].append(end)
        return end

    return build


def repetition(part: Build, least: int, most: int | None) -> Build:
    """The part from `least` to `most` times; None: without limit."""

    def build(nfa: Nfa, start: int) -> int:
        for _ in range(least):
            start = part(nfa, start)
        end = nfa.add_state()
        nfa.jumps[start].append(end)
        if most is None:
            nfa.jumps[part(nfa, end)].append(end)
        for _ in range(0 if most is None else most - least):
            start = part(nfa, start)
            nfa.jumps[start].append(end)
        return end

    return build


@dataclass(slots=True)
class DfaState:
    """A state of a deterministic automaton: the next state for each set of characters, and whether a text may end."""

    moves: list[tuple[Ranges, int]]
    accepts: bool


def deterministic(expression: Build) -> list[DfaState]:
    """The states of an expression's automaton, its first one first. Raises SchemaRefused when they are too many."""
    nfa = Nfa()
    final = expression(nfa, nfa.add_state())
    numbers = {nfa.closure([0]): 0}
    waiting, states = [*numbers], []
    work = 0
    for members in waiting:
        work += len(members)
        moves = []
        for ranges, targets in _moves(nfa, members):
            reached = nfa.closure(targets)
            work += len(reached)
            if reached not in numbers:
                numbers[reached] = len(numbers)
                waiting.append(reached)
            moves.append((ranges, numbers[reached]))
        if len(numbers) > MAX_STATES or work > _MAX_WORK:
            raise refusal("a pattern leaves too many ways open at once")
        states.append(DfaState(moves, final in members))
    return states


def _moves(nfa: Nfa, members: frozenset[int]) -> list[tuple[Ranges, frozenset[int]]]:
    """The characters that lead on from a set of states, by the states to which they lead."""
    edges = [edge for state in members for edge in nfa.edges[state]]
    bounds = sorted({bound for ranges, _ in edges for low, high in ranges for bound in (low, high + 1)})
    if len(bounds) * len(edges) > _MAX_WORK:
        raise refusal("a pattern leaves too many ways open at once")
    found: dict[frozenset[int], list[tuple[int, int]]] = {}
    for low, after in pairwise(bounds):
        targets = frozenset(target for ranges, target in edges if any(a <= low <= b for a, b in ranges))
        if targets:
            found.setdefault(targets, []).append((low, after - 1))
    return [(ranges, targets) for targets, ranges in found.items()]
