"""Formulas of an answer on Discord."""

import pytest

from adapters.discord.outgoing.formulas import plain_formulas


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("$x^2 + y_1 = \\frac{a+b}{2}$", "x² + y₁ = (a+b)/2"),
        ("so $E = mc^2$.", "so E = mc²."),
        (r"\[ \sqrt{x} \times \alpha_1^{n+1} \]", "√x × α₁ⁿ⁺¹"),
        (r"\(a \leq b\)", "a ≤ b"),
        ("$$\\sum_{i=1}^{n} i\n= 10$$", "∑ᵢ₌₁ⁿ i\n= 10"),
        (r"$\text{speed} = 5\,\text{km/h}$", "speed = 5 km/h"),
        (r"$x^{\frac{1}{2}}$", "x^(1/2)"),
        (r"$a_{max.} = 50\%$", r"a\_(max.) = 50%"),
        (r"$\frac{\frac{a}{b}}{c}$", "(a/b)/c"),
        ("$n$ and $2x$", "n and 2x"),
        (r"$\{1, 2\}$", "{1, 2}"),
        (r"$\sin x \cdot \unknown$", "sin x · unknown"),
    ],
)
def test_formulas_are_plain_signs(written: str, shown: str) -> None:
    assert plain_formulas(written) == shown


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10, or 6$ here.",
        "from $5 to $10_000",
        "`$x^2$` and ``a $y$ b``",
        "$HOME/bin:$PATH",
        "set $NAME=value and $OTHER=value",
        "US$5 and A$6",
        r"\$5 and \$6",
        "$ 5 $",
        "an open $x^2",
    ],
)
def test_prices_variables_and_code_stay(text: str) -> None:
    assert plain_formulas(text) == text
