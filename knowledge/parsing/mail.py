"""eml → blocks: subject, sender and date, the body, and what was attached."""

from email import message_from_bytes
from email.message import MIMEPart
from email.policy import default
from pathlib import PurePath

from knowledge.errors import KnowledgeError, ParseFailed
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.plain import parse_plain
from knowledge.parsing.registry import parse
from knowledge.parsing.webpage import parse_html
from knowledge.types import BlockKind, ParsedDocument

_SHOWN = ("From", "To", "Date")


def parse_eml(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses an eml file; an attachment that can be read follows under its name.

    Raises:
        ParseFailed: no e-mail, without text, or with too much of it.
    """
    message = message_from_bytes(data, policy=default)
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None or not any(message.get(field) for field in (*_SHOWN, "Subject")):
        raise ParseFailed(
            f"{name!r} holds no e-mail with a text; save the message again from the mail program "
            "and upload the new file."
        )
    builder = DocumentBuilder(name, limits)
    builder.add(BlockKind.HEADING, " ".join(str(message.get("Subject", "")).split()), level=1)
    for field in _SHOWN:
        if message.get(field):
            builder.add(BlockKind.LIST_ITEM, f"{field}: {message[field]}")
    _add_body(builder, name, body, limits)
    for part in message.iter_attachments():
        _add_attachment(builder, part, limits)
    return builder.build(title=PurePath(name).stem)


def _add_attachment(builder: DocumentBuilder, part: MIMEPart, limits: ParseLimits) -> None:
    """Adds an attachment's text; one that is refused, or a message in a message, is only named."""
    name = part.get_filename() or "?"
    payload = part.get_payload(decode=True)
    title = f"Attachment: {name}"
    if not isinstance(payload, bytes) or PurePath(name).suffix.lower() in ("", ".eml"):
        builder.add(BlockKind.LIST_ITEM, title)
        return
    try:
        parsed = parse(name, payload, limits)
    except KnowledgeError:  # the message is worth keeping without it
        builder.add(BlockKind.LIST_ITEM, title)
        return
    builder.add(BlockKind.HEADING, title, level=2)
    for block in parsed.blocks:
        level = min(block.level + 2, 6) if block.level else 0
        builder.add(block.kind, parsed.text[block.start : block.end], level=level)


def _add_body(builder: DocumentBuilder, name: str, body: MIMEPart, limits: ParseLimits) -> None:
    content = str(body.get_content())
    if not content.strip():
        return
    read = parse_html if body.get_content_subtype() == "html" else parse_plain
    # A byte order mark, so that a charset named inside an html body is not taken at its word.
    parsed = read(name, b"\xef\xbb\xbf" + content.encode("utf-8", errors="replace"), limits)
    for block in parsed.blocks:
        builder.add(block.kind, parsed.text[block.start : block.end], level=block.level)
