"""Cells of Markdown tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finegrid.data.markdown import code_block, code_span, escape_cell, escape_line, strip_marks


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20))
def test_an_escaped_cell_shows_just_its_text(text: str) -> None:
    assert strip_marks(escape_cell(text)) == text


@pytest.mark.parametrize(
    ("line", "escaped"),
    [
        ("@someone #12 GH-7 me@home.org", "@&#8203;someone #&#8203;12 GH-&#8203;7 me@&#8203;home.org"),
        ("http://a.b www.a.b", "http&#58;//a.b www&#46;a.b"),
        ("![x](y) <b> &amp; `c`", r"!\[x\](y) &lt;b&gt; &amp;amp; \`c\`"),
        ("_a_ a_b $x$ ~~c~~ *d*", r"\_a\_ a_b \$x\$ \~\~c\~\~ \*d\*"),
        ("\u202eevil\u2066 \x1b[31m", r"\\u202eevil\\u2066 \\x1b\[31m"),
        ("# a", "&#35; a"),
        ("---", "&#45;--"),
        ("-0.5", "-0.5"),
        ("optimizer.bias_correction = false", "optimizer.bias_correction = false"),
    ],
)
def test_an_escaped_line_is_no_markup_and_calls_nobody(line: str, escaped: str) -> None:
    assert escape_line(line) == escaped


def test_code_ends_where_it_ends() -> None:
    assert code_span("a") == "`a`" and code_span("a`b``c") == "``` a`b``c ```"
    assert code_block("a\n```\nb", "sh") == "````sh\na\n```\nb\n````"
