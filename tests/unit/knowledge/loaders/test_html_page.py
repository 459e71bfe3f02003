from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile


def loaded(source: str | bytes) -> ExtractedDocument:
    data = source.encode() if isinstance(source, str) else source
    (document,) = load_documents(RawFile("page.html", data), LoadLimits())
    return document


def test_headings_lists_and_tables_become_markdown() -> None:
    document = loaded(
        "<html><head><title> The  shelf </title></head><body><h1>Shelf</h1><p>On <b>top</b>.</p><ul><li>one<li>two</ul>"
        "<table><tr><th>Name<th>Port</tr><tr><td>router<td>8080</tr></table>"
    )
    assert document.title == "The shelf"
    assert document.markdown
    assert "# Shelf" in document.text
    assert "On **top**." in document.text
    assert "- one\n- two" in document.text
    assert "| router | 8080 |" in document.text


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>SECRET</script>",
        "<style>SECRET</style>",
        "<nav><a href='/'>SECRET</a></nav>",
        "<div hidden>SECRET</div>",
        "<div style='color:red; DISPLAY : none'>SECRET</div>",
        "<p aria-hidden='true'>SECRET</p>",
        "<!-- SECRET -->",
        "<template><p>SECRET</p></template>",
        "<div hidden><div hidden>SECRET</div><script>x</script></div>",
    ],
)
def test_what_a_reader_of_the_page_does_not_see_is_dropped(hidden: str) -> None:
    text = loaded(f"<p>before</p>{hidden}<p>after</p>").text
    assert "SECRET" not in text
    assert "before" in text
    assert "after" in text


def test_pictures_become_their_description_and_only_web_links_keep_their_target() -> None:
    text = loaded(
        "<p><img src='data:image/png;base64,AAAA' alt='the rack'> <a href='https://router.example/'>router</a> "
        "<a href='javascript:alert(1)'>click</a> <a href='#top'>top</a></p>"
    ).text
    assert text == "the rack [router](https://router.example/) click top"


def test_a_page_without_closed_head_keeps_its_body() -> None:
    document = loaded("<html><head><title>T</title><body><p>The body.</p>")
    assert (document.title, document.text) == ("T", "The body.")


def test_the_first_heading_titles_a_page_without_title() -> None:
    assert loaded("<h2>Second</h2><p>text</p><h1>First</h1>").title == "First"


def test_the_declared_charset_is_used() -> None:
    assert loaded('<meta charset="iso-8859-2"><p>Zażółć gęślą jaźń</p>'.encode("iso8859-2")).text == "Zażółć gęślą jaźń"


def test_ten_thousand_nested_tags_become_plain_text() -> None:
    document = loaded("<div>" * 10_000 + "deep down" + "</div>" * 10_000)
    assert (document.text, document.markdown) == ("deep down", False)


def test_many_rows_without_end_tags_stay_rows() -> None:
    document = loaded("<table>" + "".join(f"<tr><td>name {number}<td>{number}" for number in range(300)))
    assert document.markdown
    assert "\n| name 7 | 7 |\n| name 8 | 8 |\n" in document.text


def test_xhtml_with_a_prolog_is_read_without_warning() -> None:
    assert (
        loaded('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>x</p></body></html>').text
        == "x"
    )


def test_the_title_of_a_picture_in_the_page_is_not_the_pages() -> None:
    assert loaded("<svg><title>icon</title></svg><h1>Shelf</h1><p>x</p>").title == "Shelf"
    page = "<body><svg><title>icon</title></svg><title>The page</title><p>x</p>"
    assert loaded(page).title == "The page"


@pytest.mark.parametrize("number", ["²", "½", "१", "-1", "", "1e9", "999999999999", "x"])
def test_numbers_that_only_look_like_numbers_are_left_out(number: str) -> None:
    text = loaded(f'<table><tr><td colspan="{number}">a<td>b</table><ol start="{number}"><li>c</ol>').text
    assert "| a | b |" in text
    assert "1. c" in text


def test_spanned_cells_and_the_start_of_a_list_are_kept() -> None:
    text = loaded('<table><tr><td colspan="2">a<td>b</table><ol start="7"><li>c</ol>').text
    assert "| a | | b |" in text
    assert "7. c" in text


_VALUES = st.one_of(st.sampled_from(["²", "½", "10" * 20, "-1", "javascript:x"]), st.text(max_size=10))
_TAGS = (
    "table",
    "tr",
    "td",
    "th",
    "ol",
    "ul",
    "li",
    "a",
    "img",
    "pre",
    "code",
    "p",
    "h1",
    "blockquote",
    "title",
    "video",
)
_ATTRIBUTES = ("colspan", "rowspan", "start", "href", "title", "class", "src", "alt", "style", "type", "hidden")


@given(st.lists(st.tuples(st.sampled_from(_TAGS), st.sampled_from(_ATTRIBUTES), _VALUES), max_size=8))
def test_no_attribute_keeps_a_page_from_being_read(tags: list[tuple[str, str, str]]) -> None:
    opened = "".join(f'<{tag} {name}="{escape(value)}">x' for tag, name, value in tags)
    assert "The backup drive." in loaded(f"<p>The backup drive.</p>{opened}").text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "<ul><li><input type=checkbox checked> Gutters<li><input type=checkbox> Mower</ul>",
            "- [x] Gutters\n- [ ] Mower",
        ),
        ('<p><div class="checkbox checkbox-on"></div> Gutters</p>', "[x] Gutters"),
        ('<ul class="inline-task-list"><li class="checked">Gutters</li></ul>', "- [x] Gutters"),
    ],
)
def test_check_boxes_tell_done_from_open(source: str, text: str) -> None:
    assert loaded(source).text == text


def test_the_frame_of_an_exported_wiki_page_is_left_out() -> None:
    source = '<ol id="breadcrumbs"><li>Household</ol><p>The gate.</p><div id="footer">Generated by Confluence</div>'
    assert loaded(source).text == "The gate."


def test_words_with_underscores_and_stars_stay_as_they_are() -> None:
    assert loaded("<p>WM_7741_K and 3*4</p>").text == "WM_7741_K and 3*4"


ARTICLE = " ".join(["The boiler is reset with the amber key that hangs in the cellar, says the manual."] * 6)


def test_menus_of_a_web_page_are_left_out_and_its_table_is_kept() -> None:
    menu = "".join(f'<li><a href="/page{number}">Menu entry {number}</a></li>' for number in range(60))
    table = "<table><tr><th>Street</th><th>Day</th></tr><tr><td>North</td><td>Thursday</td></tr></table>"
    article = f"<article><h1>Boiler</h1><p>{ARTICLE}</p>{table}<p>{ARTICLE}</p></article>"
    text = loaded(f"<html><body><div class=sidebar><ul>{menu}</ul></div>{article}</body></html>").text
    assert "amber key" in text
    assert "| North | Thursday |" in text
    assert "Menu entry" not in text


def test_a_page_that_is_nothing_but_links_is_read_whole() -> None:
    text = loaded("".join(f'<li><a href="http://{n}.example.org">Bookmark {n}</a></li>' for n in range(60))).text
    assert all(f"Bookmark {number}]" in text for number in range(60))
