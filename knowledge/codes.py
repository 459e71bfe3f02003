"""Codes in texts: part numbers, versions, addresses and phone numbers, which count as wholes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CHAIN = re.compile(r"[^\W_]+(?:(?:[-./:·+]|_+|(?<=\d),(?=\d))[^\W_]+)*")
"""A word, and those joined to it without a space."""
_RUN = re.compile(r"\d+|[^\W\d_]+")
_SUFFIX = re.compile(r"\.[A-Za-z]{2,5}$")
_VERSION = re.compile(r"\d+(?:\.\d+){1,2}")
_VERSION_RUNS = 2
"""Runs of letters and digits that anything may have: A4, mp3, 5-year."""
_MOST_RUNS = 16
"""A longer chain, such as a web address, is looked up word by word."""
_MOST_JOINTS = 3

_COMPOUND = re.compile(r"(?<![\w'’-])[^\W\d_]+-[^\W\d_]+(?![\w'’-])")
_SHORT_PIECE = 2
"""Letters of a piece that is no word: `wi` of Wi-Fi, `x` of X-ray."""

_DIGITS = re.compile(r"(?<![\w.,])\+?\(?\d(?:[ \u00a0\u202f./()'’-]{0,2}\d){6,16}(?!\w)")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)")
_COUNTRY = re.compile(r"(?:\+|00)(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})")
"""The telephone codes of countries: one digit, two, or else three (ITU-T E.164)."""
_FEWEST_DIGITS = 6
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Code:
    """A code in a text, from `start` to `end`; `spellings` are its words, apart and joined, separated by spaces.

    `identifies`: it has the form of a part's number or an IP address, which belong to one thing.
    """

    start: int
    end: int
    spellings: tuple[str, ...]
    identifies: bool = False


def find_codes(text: str) -> Iterator[Code]:
    """The codes of a text, such as `WP-150-30`, `192.168.1.42` or `7590AX`: joined or mixed words with a digit."""
    for match in _CHAIN.finditer(text):
        written = match[0]
        if not written.isalpha() and not written.isdecimal():
            runs = _RUN.findall(written)
            if 1 < len(runs) <= _MOST_RUNS and any(run.isdecimal() for run in runs):
                suffix = _SUFFIX.search(written)  # a title made of a file's name has none
                spellings = (*_spellings(runs), *_versions(written, runs), *(_spellings(runs[:-1]) if suffix else ()))
                yield Code(match.start(), match.end(), spellings, _identifies(written, runs))


def find_compounds(text: str) -> Iterator[Code]:
    """Pairs of words with a hyphen, one of them short, in one word: `wifi` for Wi-Fi, `email` for e-mail."""
    for match in _COMPOUND.finditer(text):
        pieces = match[0].split("-")
        if min(map(len, pieces)) <= _SHORT_PIECE:
            yield Code(match.start(), match.end(), ("".join(pieces),))


def find_numbers(text: str) -> Iterator[Code]:
    """The long numbers of a text (phone, account, article), each as one word however its digits are grouped."""
    for match in _ACCOUNT.finditer(text):
        yield Code(match.start(), match.end(), (match[0].replace(" ", "").lower(),))
    for match in _DIGITS.finditer(text):
        number = _number(match[0])
        if number:
            yield Code(match.start(), match.end(), (number,))


def _number(written: str) -> str:
    """A number as digits, without a country's code and leading zeros; empty if it is something else."""
    groups = re.findall(r"\d+", _COUNTRY.sub("", written.replace("(0)", ""), count=1))
    if _ADDRESS.fullmatch(written) or any(len(group) < 2 for group in groups[1:]):
        return ""
    digits = "".join(groups).lstrip("0")
    return digits if _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS else ""


def _identifies(written: str, runs: list[str]) -> bool:
    is_part = len(runs) > _VERSION_RUNS and any(run.isalpha() for run in runs) and runs[0].lower() != "v"
    return is_part or _ADDRESS.fullmatch(written) is not None


def _versions(written: str, runs: list[str]) -> tuple[str, ...]:
    """A version with its `v`, and without."""
    if runs[0].lower() == "v":
        return (" ".join(runs[1:]),)
    return (f"v{' '.join(runs)}",) if _VERSION.fullmatch(written) else ()


def _spellings(runs: list[str]) -> tuple[str, ...]:
    """The runs of letters and digits of a code apart and, where letters meet digits, together (three times at most)."""
    joints = [n for n in range(1, len(runs)) if runs[n - 1].isdecimal() != runs[n].isdecimal()][:_MOST_JOINTS]
    ways: list[str] = []
    for choice in range(2 ** len(joints)):
        joined = {joint for bit, joint in enumerate(joints) if choice >> bit & 1}
        ways.append("".join(run if n in joined or n == 0 else f" {run}" for n, run in enumerate(runs)))
    return tuple(ways)
