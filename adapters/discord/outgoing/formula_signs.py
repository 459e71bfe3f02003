"""Signs for the commands of LaTeX that people use in answers."""

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ",
    "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_OPERATORS = {
    "times": " × ", "cdot": " · ", "div": " ÷ ", "pm": " ± ", "mp": " ∓ ", "ast": "∗", "circ": "∘", "bullet": "•",
    "le": " ≤ ", "leq": " ≤ ", "ge": " ≥ ", "geq": " ≥ ", "ne": " ≠ ", "neq": " ≠ ", "approx": " ≈ ", "sim": " ∼ ",
    "equiv": " ≡ ", "propto": " ∝ ", "ll": " ≪ ", "gg": " ≫ ", "in": " ∈ ", "notin": " ∉ ", "subset": " ⊂ ",
    "subseteq": " ⊆ ", "cup": " ∪ ", "cap": " ∩ ", "to": " → ", "rightarrow": " → ", "leftarrow": " ← ",
    "Rightarrow": " ⇒ ", "implies": " ⇒ ", "Leftrightarrow": " ⇔ ", "iff": " ⇔ ", "mapsto": " ↦ ", "mid": " ∣ ",
    "land": " ∧ ", "lor": " ∨ ", "neg": "¬", "forall": "∀", "exists": "∃", "angle": "∠", "perp": " ⊥ ",
    "parallel": " ∥ ", "sum": "∑", "prod": "∏", "int": "∫", "oint": "∮", "partial": "∂", "nabla": "∇", "infty": "∞",
    "degree": "°", "prime": "′", "ldots": "…", "dots": "…", "cdots": "⋯", "hbar": "ℏ", "ell": "ℓ", "emptyset": "∅",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "euro": "€", "percent": "%",
    "vert": "∣", "lvert": "∣", "rvert": "∣",
}  # fmt: skip
_LAYOUT = dict.fromkeys(("left", "right", "big", "Big", "bigl", "bigr", "displaystyle", "limits", "nonumber"), "")
_SPACES = dict.fromkeys(("quad", "qquad", "space", "thinspace"), " ")

SIGNS: dict[str, str] = {**_GREEK, **_OPERATORS, **_LAYOUT, **_SPACES}
"""The sign for a command's name, with the spaces that a reader expects around it."""

FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "arcsin", "arccos", "arctan", "log", "ln", "exp", "lim", "min", "max", "mod"}
)
"""Commands that are written as words."""

SUPERSCRIPTS: dict[str, str] = dict(
    zip("0123456789+-−=()abcdefghijklmnoprstuvwxyz∘°", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ°°", strict=True)
)
"""Raised characters."""

SUBSCRIPTS: dict[str, str] = dict(
    zip("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True)
)
"""Lowered characters."""
