"""Whether Hearth can answer questions, and the reasons why not: for /readyz."""

from models.engine import Engine


class Readiness:
    """Follows the start, then the engine: one that has died makes the house unready again."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._is_index_open = False

    def note_engine(self, engine: Engine) -> None:
        """The language model is loaded."""
        self._engine = engine

    def note_index(self) -> None:
        """The documents' index is open."""
        self._is_index_open = True

    async def reasons(self) -> list[str]:
        """The reasons why no question can be answered now, as sentences; empty when ready."""
        reasons: list[str] = []
        if self._engine is None:
            reasons.append("The language model is not loaded yet.")
        elif (failure := self._engine.failure) is not None:
            reasons.append(failure)
        if not self._is_index_open:
            reasons.append("The documents' index is not open yet.")
        return reasons
