import pytest

from knowledge.globs import GlobInvalid
from knowledge.junk_rules import DEFAULT_JUNK, JunkRules


@pytest.mark.parametrize(
    "name", [".git", "node_modules", "VENV", "target", "vendor", "@eaDir", "System Volume Information"]
)
def test_service_folders_are_junk(name: str) -> None:
    assert JunkRules(DEFAULT_JUNK).find_rule("a/b/", name, is_folder=True)


@pytest.mark.parametrize("name", [".hidden", "~$report.docx", "notes.md~", "film.mkv.part", "Thumbs.db", "x.TMP"])
def test_leftovers_of_programs_are_junk(name: str) -> None:
    assert JunkRules(DEFAULT_JUNK).find_rule("", name, is_folder=False)


@pytest.mark.parametrize("name", ["target", "vendor", "venv", "report.docx", "bakery.md", "~notes.md", "a.b"])
def test_a_rule_for_folders_leaves_files_alone(name: str) -> None:
    assert JunkRules(DEFAULT_JUNK).find_rule("", name, is_folder=False) == ""


def test_the_rule_is_told_as_it_is_written() -> None:
    rules = JunkRules(["*.{a,b}", "x/", "deep/y"])
    assert rules.find_rule("", "1.b", is_folder=False) == "*.{a,b}"
    assert rules.find_rule("z/", "x", is_folder=True) == "x/"
    assert rules.find_rule("deep/", "y", is_folder=False) == "deep/y"
    assert rules.find_rule("other/", "y", is_folder=False) == ""


def test_without_rules_nothing_is_junk() -> None:
    assert JunkRules(()).find_rule("", ".git", is_folder=True) == ""


def test_a_pattern_that_cannot_be_matched_with_is_refused() -> None:
    with pytest.raises(GlobInvalid):
        JunkRules(["[z-a]"])
