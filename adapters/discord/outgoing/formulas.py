"""Formulas of an answer in plain signs, because Discord shows no LaTeX."""

import re

from adapters.discord.outgoing.formula_signs import FUNCTIONS, SIGNS, SUBSCRIPTS, SUPERSCRIPTS

MAX_FORMULA_CHARACTERS = 400
MAX_NESTING = 12

_FORMULA = re.compile(
    r"(?<!`)(?P<ticks>`{1,2})(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"  # inline code, which stays as it is
    rf"|\\\[(?P<block>.{{1,{MAX_FORMULA_CHARACTERS}}}?)\\\]"
    rf"|\\\((?P<bracketed>.{{1,{MAX_FORMULA_CHARACTERS}}}?)\\\)"
    rf"|(?<![\\$\w])\$\$(?P<display>[^$]{{1,{MAX_FORMULA_CHARACTERS}}})\$\$"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]{0,300}[^\s$\\])?)\$(?![\w$])",
    re.DOTALL,
)
_FORMULA_SIGN = re.compile(r"[\\^_={}<>]")
_SHORT_FORMULA = re.compile(r"[A-Za-z0-9+\-*/().,'!%]{0,20}[A-Za-z+\-*/][A-Za-z0-9+\-*/().,'!%]{0,20}")
_LONG_WORD = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{4,}")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?[ \t]?|\\(.)", re.DOTALL)
_GROUP = r"\{([^{}]*)\}"
_TEXT = re.compile(rf"\\(?:text|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|operatorname|textbf|textit|boxed){_GROUP}")
_FRACTION = re.compile(rf"\\[dt]?frac{_GROUP}{_GROUP}")
_ROOT = re.compile(rf"\\sqrt(?:\[([^\]{{}}]*)\])?{_GROUP}")
_SCRIPT = re.compile(rf"([\^_])(?:{_GROUP}|([^\s{{}}\\^_]))")
_STRUCTURE = frozenset({"text", "mathrm", "mathbf", "mathit", "mathsf", "mathbb", "mathcal", "operatorname", "textbf",
                        "textit", "boxed", "frac", "dfrac", "tfrac", "sqrt"})  # fmt: skip


def plain_formulas(text: str) -> str:
    """The text, which has no code fences, with its formulas in plain signs. Prices and variables of a shell stay."""
    return _FORMULA.sub(_replace, text) if "$" in text or "\\(" in text or "\\[" in text else text


def _replace(found: re.Match[str]) -> str:
    if (inline := found["inline"]) is not None:
        return _escape(to_plain_signs(inline)) if _is_formula(inline) else found[0]
    formula = found["block"] or found["bracketed"] or found["display"]
    return found[0] if formula is None else _escape(to_plain_signs(formula))


def _is_formula(text: str) -> bool:
    """Whether what stands between two dollar signs is a formula, and not prices or names of variables."""
    if _FORMULA_SIGN.search(text):
        return "\\" in text or not _LONG_WORD.search(text)
    return _SHORT_FORMULA.fullmatch(text) is not None and not _LONG_WORD.search(text)


def to_plain_signs(formula: str) -> str:
    """A formula of LaTeX in signs that every font has; commands without a sign become words."""
    text = _COMMAND.sub(_replace_command, formula.replace("\\\\", "\n"))
    for _ in range(MAX_NESTING):
        simpler = _TEXT.sub(r"\1", text)
        simpler = _FRACTION.sub(lambda found: f"{_operand(found[1])}/{_operand(found[2])}", simpler)
        simpler = _ROOT.sub(lambda found: _scripted("^", found[1] or "") + "√" + _operand(found[2]), simpler)
        simpler = _SCRIPT.sub(lambda found: _scripted(found[1], found[3] if found[2] is None else found[2]), simpler)
        if simpler == text:
            break
        text = simpler
    text = text.replace("{", "").replace("}", "").replace("\ue000", "{").replace("\ue001", "}")
    return "\n".join(" ".join(line.split()) for line in text.strip().split("\n"))


def _replace_command(found: re.Match[str]) -> str:
    name, sign = found[1], found[2]
    if name is None:
        return {"{": "\ue000", "}": "\ue001", ",": " ", ";": " ", ":": " ", "!": "", " ": " "}.get(sign, sign)
    if name in _STRUCTURE:
        return found[0].rstrip()
    if name in SIGNS:
        return SIGNS[name]
    return f"{name} " if name in FUNCTIONS else name


def _operand(text: str) -> str:
    """A part of a fraction or root, in brackets unless it is a single number or name."""
    text = text.strip()
    return text if re.fullmatch(r"[\w.,√²³]*", text) else f"({text})"


def _scripted(kind: str, text: str) -> str:
    """A superscript (`^`) or subscript (`_`), raised or lowered where there are such characters."""
    table, text = SUPERSCRIPTS if kind == "^" else SUBSCRIPTS, text.strip()
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    # Signs of our own, so that they are not read as scripts once more.
    return ("\ue002" if kind == "^" else "\ue003") + (text if len(text) == 1 else f"({text})")


def _escape(text: str) -> str:
    """Plain signs as Markdown that shows them."""
    plain = re.sub(r"([*_~`|\\])", r"\\\1", text)
    return plain.replace("\ue002", "^").replace("\ue003", "\\_")
