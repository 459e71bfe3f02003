"""What keeps questions from being answered: parts that are not open yet, and a model that is being started again."""

from dataclasses import dataclass, field

from models.engine import Engine


@dataclass
class Readiness:
    """`missing`: parts that are not open, as sentences; `engine`: the model, once it is loaded."""

    missing: list[str] = field(default_factory=list)
    engine: Engine | None = None

    def reasons(self) -> list[str]:
        """Sentences; empty when questions are answered."""
        interruption = self.engine.interruption if self.engine else None
        return [*self.missing, *([interruption] if interruption else [])]
