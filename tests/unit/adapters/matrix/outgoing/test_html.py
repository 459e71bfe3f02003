"""The HTML of answers: what Markdown becomes, and that nothing but what Matrix allows comes through."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.matrix.outgoing.html import MAX_TAG_DEPTH, SCHEMES, TAGS, footer_html, render_html

ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "code": {"class"}}
VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Reads HTML strictly: tags, attributes, addresses and depth."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.deepest = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attributes:
            assert name in ATTRIBUTES.get(tag, set())
            if name == "href":
                assert (value or "").partition(":")[0].lower() in SCHEMES
            if name == "class":
                assert (value or "").startswith("language-")
        if tag not in VOID:
            self.open.append(tag)
            self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**On** _shelf_ `B<3`", "<p><strong>On</strong> <em>shelf</em> <code>B&lt;3</code></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("~~no~~", "<p><s>no</s></p>"),
        ("5. five", '<ol start="5">\n<li>five</li>\n</ol>'),
        ("[a](https://example.org)", '<p><a href="https://example.org">a</a></p>'),
        ("[a](mailto:a@example.org)", '<p><a href="mailto:a@example.org">a</a></p>'),
        ("[a](https://matrix.to/#/@a:b)", '<p><a href="https://matrix.to/#/@a:b">a</a></p>'),
        ("[a](tel:1) [b](//example.org) [c](notes.md)", "<p><a>a</a> <a>b</a> <a>c</a></p>"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("![seen](https://example.org/by.png)", '<p>!<a href="https://example.org/by.png">seen</a></p>'),
        ("![seen](mxc://example.org/abc)", "<p>!<a>seen</a></p>"),
        ("<img src=x onerror=a()> <b>", "<p>&lt;img src=x onerror=a()&gt; &lt;b&gt;</p>"),
        ("```py\nx < 1", '<pre><code class="language-py">x &lt; 1</code></pre>'),
        ("```py x\" onclick='a'\ny\n```", '<pre><code class="language-py">y\n</code></pre>'),
        ("| a |\n|--:|\n| b |", "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>b</td>"),
        ("**bold and not yet", "<p>**bold and not yet</p>"),
        ("", ""),
    ],
)
def test_markdown_becomes_the_tags_that_matrix_knows(text: str, html: str) -> None:
    assert render_html(text).startswith(html)
    Reader(render_html(text))


@pytest.mark.parametrize(
    ("text", "deepest"), [("> ", 10), ("- ", 10), ("> - ", 10), ("*", 1), ("_a ", 1), ("[", 1), ("~~*", 1)]
)
def test_tags_are_never_nested_deeper_than_matrix_takes(text: str, deepest: int) -> None:
    for ends in ("", "".join({"[": "]"}.get(mark, mark) for mark in reversed(text)) * 199):
        assert deepest <= Reader(render_html(text * 199 + "x" + ends)).deepest <= MAX_TAG_DEPTH


MARKED = st.text(
    alphabet=st.one_of(st.sampled_from("*_`~<>[]()!|#-\n \t:/&\"'=ax1."), st.characters(exclude_categories=["Cs"])),
    max_size=400,
)


@settings(deadline=None)
@given(MARKED)
def test_whatever_is_written_only_allowed_html_comes_out(text: str) -> None:
    Reader(render_html(text))


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'/=a scriptonlodjv:\n"), max_size=200))
def test_markup_is_never_taken_as_markup(text: str) -> None:
    Reader(render_html(text))


def test_lines_below_an_answer_are_text_whatever_is_in_them() -> None:
    html = footer_html("[1] A <b> & *c*\n[2] D", small=True)
    assert html == "<p><sub>[1] A &lt;b&gt; &amp; *c*<br>[2] D</sub></p>"
    assert footer_html("Stopped.", small=False) == "<p>Stopped.</p>"
    Reader(html)
