"""Plain text, Markdown, HTML and the encodings they come in."""

import pytest

from knowledge.errors import UnsupportedFormat
from knowledge.parsing.registry import parse
from knowledge.types import BlockKind, ParsedDocument
from tests.document_files import LIMITS

NOTICE = "退货政策：自签收之日起七天内可以无理由退货。"
TRADITIONAL = "退貨政策：自簽收之日起七天內可以無理由退貨。"


def outline(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind.value, document.text[block.start : block.end]) for block in document.blocks]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (NOTICE, "utf-8"),
        (NOTICE, "utf-8-sig"),
        (NOTICE, "utf-16"),
        (NOTICE, "gb18030"),
        ("客服电话", "gb18030"),
        ("Hello 你好 world", "gb18030"),
        (TRADITIONAL, "big5"),
        ("客服電話", "big5"),
        ("café", "latin-1"),
        ("L'été à Noël: garçon déjà vu", "latin-1"),
        ("It’s £20 – “really”", "cp1252"),
    ],
)
def test_decoding_finds_the_encoding(text: str, encoding: str) -> None:
    document = parse("notice.txt", text.encode(encoding), LIMITS)
    assert document.text == text


def test_decoding_survives_one_broken_byte() -> None:
    data = (NOTICE * 20).encode()[:-1]
    assert parse("cut.txt", data, LIMITS).text.startswith(NOTICE * 19)


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "csv"])
def test_text_formats_refuse_binary_content(suffix: str) -> None:
    with pytest.raises(UnsupportedFormat, match=r"binary"):
        parse(f"x.{suffix}", b"abc\0def" * 50, LIMITS)


@pytest.mark.parametrize("suffix", ["txt", "md"])
def test_own_text_is_kept_as_it_is(suffix: str) -> None:
    text = "# Title\r\n\r\n  First line  \r\nsecond\r\n\r\n\r\n- item\t\r\n"
    assert parse(f"x.{suffix}", b"\xef\xbb\xbf" + text.encode(), LIMITS).text == text


def test_txt_finds_headings_and_lists() -> None:
    text = "退换货说明\n\n一、时间\n七天之内。\n\n二、费用\n1. 运费由您付。\n2. 质量问题我们付。\n"
    document = parse("r.txt", text.encode(), LIMITS)
    assert document.title == "退换货说明"
    assert outline(document) == [
        ("heading", "退换货说明"),
        ("heading", "一、时间"),
        ("paragraph", "七天之内。"),
        ("heading", "二、费用"),
        ("list_item", "1. 运费由您付。"),
        ("list_item", "2. 质量问题我们付。"),
    ]


def test_txt_joins_lines_wrapped_at_a_column() -> None:
    first = "Customers may return unused items within thirty days of delivery if"
    text = f"{first}\nthe packaging is complete.\nA second remark.\n"
    document = parse("w.txt", text.encode(), LIMITS)
    assert [content for _, content in outline(document)] == [
        f"{first}\nthe packaging is complete.",
        "A second remark.",
    ]


def test_txt_underlined_line_is_a_heading() -> None:
    document = parse("u.txt", b"Shipping\n========\nWe ship daily.\n", LIMITS)
    assert outline(document) == [("heading", "Shipping"), ("paragraph", "We ship daily.")]


def test_txt_question_over_its_answer_is_a_heading() -> None:
    document = parse("q.txt", b"Can I cancel?\nYes, within two hours.\n", LIMITS)
    assert outline(document)[0] == ("heading", "Can I cancel?")


def test_txt_without_headings_is_called_by_its_name() -> None:
    assert parse("dir/a note.txt", b"Only this sentence.", LIMITS).title == "a note"


def test_markdown_blocks_point_into_the_file() -> None:
    text = (
        "# Club *rules* #\n\nIntro\nline.\n\n- one\n  - two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```py\nx = 1\n```\n\nLater\n-----\n\n> quoted\n"
    )
    document = parse("c.md", text.encode(), LIMITS)
    assert document.title == "Club rules"
    assert outline(document) == [
        ("heading", "# Club *rules* #"),
        ("paragraph", "Intro\nline."),
        ("list_item", "- one"),
        ("list_item", "- two"),
        ("table_row", "| a | b |"),
        ("table_row", "| 1 | 2 |"),
        ("code", "```py\nx = 1\n```"),
        ("heading", "Later\n-----"),
        ("paragraph", "> quoted"),
    ]
    assert [b.level for b in document.blocks if b.kind is BlockKind.HEADING] == [1, 2]


def test_markdown_line_ends_do_not_shift_blocks() -> None:
    text = "# A\r\rpara\x0bgraph\u2028one\r\n\r\nsecond 第二\n"
    contents = [content for _, content in outline(parse("x.md", text.encode(), LIMITS))]
    assert contents == ["# A", "para\x0bgraph\u2028one", "second 第二"]


def test_markdown_front_matter_gives_only_the_title() -> None:
    document = parse("f.md", b"---\ntitle: 'Fees'\ntags:\n  - x\n---\nText.\n", LIMITS)
    assert document.title == "Fees"
    assert outline(document) == [("paragraph", "Text.")]


def test_markdown_rule_is_not_front_matter() -> None:
    document = parse("f.md", b"---\nJust text here.\n\n---\nMore.\n", LIMITS)
    assert "Just text here." in [content for _, content in outline(document)]


def test_html_keeps_content_only() -> None:
    page = """<html><head><title>Shop</title><style>p{}</style></head><body>
    <header>Slogan</header><nav><a>Home</a></nav><script>var x = "bad";</script>
    <header><h1>Returns &amp; refunds</h1></header>
    <p>Within <b>30</b>\n days<br>of delivery.</p><p hidden>secret</p>
    <div style="display: none">secret</div><aside>advert</aside><template>secret</template>
    <ul><li>first<ol start=3><li>inner</ol><li>second</ul>
    <pre>a  b\nc</pre><footer>Imprint</footer> tail</body></html>"""
    document = parse("r.html", page.encode(), LIMITS)
    assert document.title == "Returns & refunds"
    assert outline(document) == [
        ("heading", "Returns & refunds"),
        ("paragraph", "Within 30 days\nof delivery."),
        ("list_item", "- first"),
        ("list_item", "3. inner"),
        ("list_item", "- second"),
        ("code", "a  b\nc"),
        ("paragraph", "tail"),
    ]


def test_html_table_rows_are_lines_of_cells() -> None:
    page = "<table><tr><th>Model<th>Price</tr><tr><td><p>K1</p><td>199<br>yuan</table>"
    document = parse("t.htm", page.encode(), LIMITS)
    assert document.text == "Model | Price\nK1 | 199 yuan"
    assert {block.kind for block in document.blocks} == {BlockKind.TABLE_ROW}


def test_html_layout_table_is_read_as_text() -> None:
    page = "<table><tr><td><h1>Fees</h1><p>None.</p></td></tr></table>"
    assert outline(parse("t.html", page.encode(), LIMITS)) == [
        ("heading", "Fees"),
        ("paragraph", "None."),
    ]


@pytest.mark.parametrize("charset", ["gb2312", "big5"])
def test_html_declared_charset_is_used(charset: str) -> None:
    text = NOTICE if charset == "gb2312" else TRADITIONAL
    page = f'<meta charset="{charset}"><title>t</title><p>{text}</p>'
    assert parse("c.html", page.encode(charset), LIMITS).text == text


def test_html_wrong_charset_is_overruled() -> None:
    page = f'<meta charset="ascii"><p>{NOTICE}</p>'.encode()
    assert parse("c.html", page, LIMITS).text == NOTICE


def test_html_deep_nesting_is_read() -> None:
    page = b"<div>" * 2000 + b"deep" + b"</div>" * 2000
    assert parse("d.html", page, LIMITS).text == "deep"


def test_markdown_deep_lists_are_read() -> None:
    text = "\n".join("  " * depth + "- level" for depth in range(30))
    assert len(parse("d.md", text.encode(), LIMITS).blocks) == 30
