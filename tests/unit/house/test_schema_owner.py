"""The knowledge schema has one owner: its tables are named in SQL in `knowledge/store` alone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
OWNER = ROOT / "knowledge" / "store"
ROOMS = ("bot", "adapters", "knowledge", "models", "deploy")

SCRIPTS = "\n".join(script.read_text(encoding="utf-8") for script in sorted((OWNER / "migrations").glob("*.sql")))
CHANGES = re.findall(r"^(CREATE|DROP) (?:VIRTUAL )?TABLE (\w+)", SCRIPTS, re.MULTILINE)
LAST_CHANGE = {name: change for change, name in CHANGES}
TABLES = frozenset(name for name, change in LAST_CHANGE.items() if change == "CREATE")
# The keywords are upper case in all SQL of the house, so no English sentence is taken for a statement.
STATEMENT = re.compile(rf"\b(?:FROM|INTO|JOIN|UPDATE|MATCH)\s+(?:{'|'.join(sorted(TABLES))})\b")


def statements(path: Path) -> list[str]:
    """The places in a file where SQL names a table of the knowledge schema."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}" for number, line in lines if (found := STATEMENT.search(line))
    ]


def test_sql_on_the_knowledge_schema_occurs_in_the_store_alone() -> None:
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if OWNER not in path.parents]
    assert [line for path in sources for line in statements(path)] == []


def test_the_search_for_statements_finds_those_of_the_store() -> None:
    assert {"passages", "vectors", "files", "sequence", "index_files", "words"} <= TABLES
    found = {line.rsplit(" ", 1)[-1] for path in OWNER.rglob("*.py") for line in statements(path)}
    assert found >= TABLES - {"sqlite_sequence"}
