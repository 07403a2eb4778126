"""E-mails as files."""

from email.message import EmailMessage

import pytest

from knowledge.errors import ParseFailed
from knowledge.parsing.registry import parse
from tests.document_files import LIMITS


def _mail(text: str, subtype: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"] = "退货政策", "shop@example.com"
    message.set_content(text, subtype=subtype, charset="utf-8")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="价格.pdf")
    return message


@pytest.mark.parametrize(
    ("text", "subtype"),
    [
        ("七天内可以退货。\n", "plain"),
        ("<meta charset=latin-1><script>x</script><p>七天内可以退货。</p>", "html"),
    ],
)
def test_mail_shows_subject_body_and_attachment_names(text: str, subtype: str) -> None:
    document = parse("a.eml", _mail(text, subtype).as_bytes(), LIMITS)
    assert document.title == "退货政策"
    for shown in ("From: shop@example.com", "七天内可以退货。", "Attachment: 价格.pdf"):
        assert shown in document.text
    assert "<" not in document.text


@pytest.mark.parametrize("data", [b"just words", b"Subject: x\nContent-Type: image/png\n\nabc"])
def test_what_is_no_mail_is_refused(data: bytes) -> None:
    with pytest.raises(ParseFailed, match="no e-mail"):
        parse("a.eml", data, LIMITS)


def test_attachments_are_read_or_named() -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "Fees", "shop@example.com"
    message.set_content("See the attached files.")
    for name, data in (("fees.csv", b"Model,Fee\nK1,3 euros\n"), ("a.exe", b"MZ"), ("b.pdf", b"x")):
        message.add_attachment(data, maintype="application", subtype="x", filename=name)
    text = parse("m.eml", message.as_bytes(), LIMITS).text
    assert "Attachment: fees.csv\n\nModel: K1; Fee: 3 euros" in text
    assert "Attachment: a.exe\nAttachment: b.pdf" in text
