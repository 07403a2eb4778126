"""The customer chat as HTML: pure functions of values, every text escaped.

The model's and the documents' text is shown as plain text: no Markdown, no links, no images.
Buttons carry `data-act`; `static/chat.js` turns a press into an event with those values.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot.company import CompanyProfile
from bot.conversations import FEEDBACK_REASONS
from bot.types import (
    Citation,
    CitedPassage,
    Conversation,
    ConversationState,
    Message,
    MessageStatus,
    Role,
)
from web.ui.analysis_view import marks, own_marks
from web.ui.markup import Words, button, escape, moment, notice

_THUMB_UP = "M3 11h4v9H3zM7 11l4-8c2 0 3 1 3 3l-1 4h6c1.5 0 2.3 1 2 2.5l-1.3 6c-.3 1-1 1.5-2 1.5H7"
_THUMB_DOWN = (
    "M3 13h4V4H3zM7 13l4 8c2 0 3-1 3-3l-1-4h6c1.5 0 2.3-1 2-2.5l-1.3-6C18 4.5 17.3 4 16 4H7"
)
_WHO = {Role.CUSTOMER: "you", Role.BOT: "bot", Role.AGENT: "agent", Role.SYSTEM: "system"}
#: What stands under the customer's messages: nothing, language and intent, or everything.
Shows = Literal["none", "own", "all"]
_MARKER = re.compile(r"\[(\d{1,2})\]")


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """A conversation the visitor may read; `token` is shown to them once, when it is new."""

    conversation: Conversation
    token: str
    messages: tuple[Message, ...]
    shows: Shows = "none"  # of what was understood of the customer's messages


def header_name(profile: CompanyProfile, words: Words) -> str:
    """Returns the company's name as the page's heading."""
    return f'<h1 class="k-name">{escape(profile.name or words.plain("chat_title"))}</h1>'


def log(opened: OpenConversation | None, profile: CompanyProfile, words: Words) -> str:
    """Returns the conversation so far; without one, the greeting and the suggested questions."""
    if opened is None:
        return f'<div class="k-log" role="log">{_welcome(profile, words)}</div>'
    conversation = opened.conversation
    last = next((m.id for m in reversed(opened.messages) if m.role == Role.BOT), None)
    parts = [
        _message(m, words, is_last=m.id == last) + _understood(m, opened.shows, words)
        for m in opened.messages
    ]
    state = "" if conversation.state == ConversationState.BOT else conversation.state.value
    return (
        f'<div class="k-log" role="log" aria-label="{words("conversation")}" '
        f'data-id="{escape(conversation.id)}" data-token="{escape(opened.token)}" '
        f'data-title="{escape(conversation.title)}" data-state="{escape(state)}">'
        f"{_greeting(profile)}{''.join(parts)}{_rating(opened, words) if last else ''}</div>"
    )


def live(text: str, status: str, words: Words) -> str:
    """Returns the answer being written; `status` says what is going on, as escaped text."""
    shown = f'<div class="k-text">{_plain(text)}<span class="k-caret"></span></div>' if text else ""
    line = f'<p class="k-status" role="status"><span class="k-dots"></span>{status}</p>'
    return (
        f'<article class="k-message k-bot" aria-busy="true"><h3 class="k-hidden">{words("bot")}'
        f'</h3><div class="k-bubble" aria-live="off">{shown}</div>{line}</article>'
    )


def failure(title: str, detail: str, reference: str, words: Words) -> str:
    """Returns the line that stands where the answer should be."""
    reference_line = words("reference", reference=reference) if reference else ""
    line = f"<strong>{escape(title)}</strong> {escape(detail)} <span>{reference_line}</span>"
    return f'<div class="k-failed">{notice(line, kind="error")}</div>'


def panel(passage: CitedPassage, n: int, words: Words) -> str:
    """Returns the cited passage, highlighted where it stands in its document."""
    name = escape(passage.title or passage.document)
    where = escape(passage.document)
    if passage.page is not None:
        where += f" · {words('page', page=passage.page)}"
    return (
        f'<aside class="k-panel" role="dialog" aria-labelledby="k-source">'
        f'<div class="k-panel-head"><div><p class="k-label">{words("source", n=n)}</p>'
        f'<h2 id="k-source" tabindex="-1">{name}</h2><p class="k-where">{where}</p></div>'
        f"{button('close', words('close'), kind='k-quiet')}</div>"
        f'<div class="k-passage" tabindex="0">{_plain(passage.before)}'
        f"<mark>{_plain(passage.quote)}</mark>{_plain(passage.after)}</div></aside>"
    )


def _welcome(profile: CompanyProfile, words: Words) -> str:
    chips = _chips(profile.suggestions)
    heading = f'<h2 class="k-label">{words("suggested")}</h2>' if chips else ""
    return f'{_greeting(profile)}<div class="k-suggested">{heading}{chips}</div>'


def _chips(questions: Iterable[str]) -> str:
    return "".join(button("ask", escape(q), kind="k-chip", text=q) for q in questions)


def _greeting(profile: CompanyProfile) -> str:
    if not profile.greeting:
        return ""
    return (
        '<article class="k-message k-bot"><div class="k-bubble"><div class="k-text">'
        f"{_plain(profile.greeting)}</div></div></article>"
    )


def _rating(opened: OpenConversation, words: Words) -> str:
    given = opened.conversation.rating or 0
    stars = "".join(
        f'<button type="button" class="k-star" data-act="score" data-value="{score}" '
        f'aria-label="{words("stars", n=score)}" aria-pressed="{str(score == given).lower()}"'
        f"{' data-lit' if score <= given else ''}>{'★' if score <= given else '☆'}</button>"
        for score in range(1, 6)
    )
    label = words("rated" if given else "rate")
    return (
        f'<div class="k-rating" role="group" aria-label="{label}"><span>{label}</span>{stars}</div>'
    )


def _message(message: Message, words: Words, *, is_last: bool) -> str:
    if message.role == Role.SYSTEM:
        return f'<p class="k-system">{_plain(message.text)}</p>'
    if message.role == Role.BOT:
        return _answer(message, words, is_last=is_last)
    return _bubble(message.role, _plain(message.text), words, author=message.author)


def _understood(message: Message, shows: Shows, words: Words) -> str:
    if message.role != Role.CUSTOMER or shows == "none":
        return ""
    shown = marks if shows == "all" else own_marks
    found = shown(message.analysis, words)
    title = words("understood")
    return found and f'<details class="k-read"><summary>{title}</summary>{found}</details>'


def _bubble(role: Role, body: str, words: Words, *, author: str | None = None) -> str:
    who = escape(author) if author else words(_WHO[role])
    return (
        f'<article class="k-message k-{role.value}"><h3 class="k-hidden">{who}</h3>'
        f'<div class="k-bubble"><div class="k-text">{body}</div></div></article>'
    )


def _answer(message: Message, words: Words, *, is_last: bool) -> str:
    reply = message.reply
    citations = reply.citations if reply else ()
    body = f'<div class="k-text">{_cited(message, citations, words)}</div>' if message.text else ""
    parts = [body, _sources(message, citations, words), _outcome(message.status, words)]
    if message.status != MessageStatus.STREAMING:
        parts.append(_tools(message, words, is_last=is_last))
    if reply and reply.handoff_offered and is_last:
        parts.append(button("person", words("person"), kind="k-offer"))
    follow = reply.suggestions if reply and is_last else ()
    suggested = f'<div class="k-suggested">{_chips(follow)}</div>' if follow else ""
    return (
        f'<article class="k-message k-bot" data-message="{escape(message.id)}">'
        f'<h3 class="k-hidden">{words("bot")}</h3><div class="k-bubble">{"".join(parts)}</div>'
        f"{suggested}</article>"
    )


def _cited(message: Message, citations: Iterable[Citation], words: Words) -> str:
    known = {citation.n: citation for citation in citations}

    def mark(match: re.Match[str]) -> str:
        citation = known.get(int(match[1]))
        if citation is None:
            return match[0]
        label = words.plain("open_source", n=citation.n, document=citation.document)
        return (
            f'<button type="button" class="k-cite" data-act="cite" data-n="{citation.n}" '
            f'data-message="{escape(message.id)}" aria-label="{escape(label)}" '
            f'title="{escape(citation.document)}">{citation.n}</button>'
        )

    return _MARKER.sub(mark, _plain(message.text))


def _sources(message: Message, citations: tuple[Citation, ...], words: Words) -> str:
    items = "".join(
        "<li>"
        + button(
            "cite",
            f'<span class="k-n">{c.n}</span> {escape(c.title or c.document)}'
            + (f" · {words('page', page=c.page)}" if c.page is not None else ""),
            kind="k-source",
            n=c.n,
            message=message.id,
        )
        + "</li>"
        for c in citations
    )
    return f'<ul class="k-sources" aria-label="{words("sources")}">{items}</ul>' if items else ""


def _outcome(status: MessageStatus, words: Words) -> str:
    notes = {
        MessageStatus.INTERRUPTED: words("interrupted"),
        MessageStatus.FAILED: words("failed"),
        MessageStatus.STREAMING: words("being_written"),
    }
    return f'<p class="k-outcome">{notes[status]}</p>' if status in notes else ""


def _tools(message: Message, words: Words, *, is_last: bool) -> str:
    value = message.feedback[0] if message.feedback else None
    up = _thumb("up", words("helpful"), message, is_pressed=value == "up")
    down = _thumb("down", words("not_helpful"), message, is_pressed=value == "down")
    again = button("regenerate", words("regenerate"), kind="k-quiet", message=message.id)
    thanks = f'<span class="k-thanks">{words("feedback_thanks")}</span>' if value else ""
    return (
        f'<div class="k-tools">{moment(message.created_at)}{up}{down}{again if is_last else ""}'
        f"{thanks}</div>{_feedback_form(message, words)}"
    )


def _thumb(value: str, label: str, message: Message, *, is_pressed: bool) -> str:
    path = _THUMB_UP if value == "up" else _THUMB_DOWN
    return (
        f'<button type="button" class="k-thumb" data-act="{value}" aria-label="{label}" '
        f'title="{label}" aria-pressed="{str(is_pressed).lower()}" '
        f'data-message="{escape(message.id)}"><svg viewBox="0 0 24 24" aria-hidden="true">'
        f'<path d="{path}"/></svg></button>'
    )


def _feedback_form(message: Message, words: Words) -> str:
    options = "".join(
        f'<label><input type="radio" name="reason-{escape(message.id)}" value="{reason}"> '
        f"{words('reason_' + reason)}</label>"
        for reason in FEEDBACK_REASONS
    )
    return (
        f'<form class="k-feedback" data-message="{escape(message.id)}" hidden><fieldset>'
        f"<legend>{words('feedback_why')}</legend>{options}</fieldset>"
        f'<label class="k-comment">{words("feedback_comment")}'
        f'<textarea name="comment" rows="2" maxlength="1000"></textarea></label>'
        f'<div><button type="submit" class="k-button k-primary">{words("feedback_send")}</button> '
        f"{button('cancel-feedback', words('cancel'), kind='k-quiet')}</div></form>"
    )


def _plain(text: str) -> str:
    return escape(text)
