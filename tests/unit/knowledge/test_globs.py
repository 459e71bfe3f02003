import pytest

from knowledge.globs import compile_globs, matches_any, names_file_kind


@pytest.mark.parametrize(
    ("pattern", "document", "expected"),
    [
        ("*.md", "a.md", True),
        ("*.md", "deep/er/a.md", True),
        ("*.md", "A.MD", True),
        ("*.md", "a.mdx", False),
        ("notes/*.md", "notes/a.md", True),
        ("notes/*.md", "notes/deep/a.md", False),
        ("notes/*.md", "other/notes/a.md", False),
        ("notes/**/*.md", "notes/a.md", True),
        ("notes/**/*.md", "notes/deep/er/a.md", True),
        ("**/*", "a", True),
        ("**/*", "deep/a.b", True),
        ("drafts/", "drafts/a.md", True),
        ("drafts/", "deep/drafts/er/a.md", True),
        ("drafts/", "drafts.md", False),
        ("/notes/*.md", "notes/a.md", True),
        ("./notes/*.md", "notes/a.md", True),
        ("page-[0-9].txt", "page-7.txt", True),
        ("page-[!0-9].txt", "page-7.txt", False),
        ("page-?.txt", "page-x.txt", True),
        ("a+(b).txt", "a+(b).txt", True),
        ("a[.txt", "a[.txt", True),
        ("[^a].txt", "^.txt", True),
    ],
)
def test_patterns_match_as_people_mean_them(pattern: str, document: str, expected: bool) -> None:
    assert matches_any(compile_globs([pattern]), document) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("**/*", False), ("*", False), ("notes/**", False), ("*.log", True), ("notes/Makefile", True)],
)
def test_a_pattern_of_stars_names_no_kind_of_file(pattern: str, expected: bool) -> None:
    assert names_file_kind(pattern) is expected
