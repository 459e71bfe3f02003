import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.globs import GlobInvalid, compile_globs, expand_braces, matches_any, names_file_kind


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
        ("*.{key,txt}", "secret.key", True),
        ("*.{key,txt}", "secret.md", False),
        ("{old,drafts}/*.md", "drafts/a.md", True),
        ("{a,b{c,d}}.md", "bd.md", True),
        ("[{,}].md", ",.md", True),
        ("a{b}.md", "a{b}.md", True),
        ("[a&&b].md", "&.md", True),
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


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("pattern_form", ["NFC", "NFD"])
def test_an_accent_matches_however_it_is_written(form: str, pattern_form: str) -> None:
    pattern = unicodedata.normalize(pattern_form, "Étagères/café.md")
    assert matches_any(compile_globs([pattern]), unicodedata.normalize(form, "Étagères/café.md"))


def test_a_range_that_runs_backwards_is_refused_with_a_sentence() -> None:
    with pytest.raises(GlobInvalid, match=r"The pattern '\[z-a\]\*\.md' has a range that runs backwards, z-a\."):
        compile_globs(["[z-a]*.md"])


def test_braces_that_stand_for_too_many_patterns_are_refused() -> None:
    with pytest.raises(GlobInvalid, match="more than 1,000 patterns"):
        expand_braces("{0,1,2,3,4,5,6,7,8,9}" * 4)


@given(
    st.text(alphabet=st.one_of(st.sampled_from("[]!-^{},*?/\\&|~.az"), st.characters()), max_size=20),
    st.text(max_size=8),
)
def test_any_pattern_is_matched_with_or_refused_in_a_sentence(pattern: str, document: str) -> None:
    try:
        compiled = compile_globs([pattern])
    except GlobInvalid as error:
        assert str(error).endswith(".")
    else:
        matches_any(compiled, document)
