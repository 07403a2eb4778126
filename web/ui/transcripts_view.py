"""The transcripts page as HTML: the list with its filters, and one conversation in full."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.classifiers.labels import LABELS, Task
from bot.priority import SERIOUS
from bot.types import Citation, Conversation, ConversationState, Message, Reply, Role
from web.ui.analysis_view import Reading, background, label_name, trend
from web.ui.knowledge_view import score, timings
from web.ui.markup import Words, escape, moment, pager, table

_RATINGS = range(1, 6)
_FILTERED = (Task.INTENT, Task.SENTIMENT, Task.SEVERITY)
_ORDERS = ("newest", "due")
_WHO = {
    Role.CUSTOMER: "role_customer",
    Role.BOT: "bot",
    Role.AGENT: "role_agent",
    Role.SYSTEM: "system",
}


def filters(words: Words, options: Callable[[Task], Sequence[str]] = LABELS.__getitem__) -> str:
    """Returns the form that narrows the list; `options` are the labels that there are."""
    languages = (("", "any"), ("zh", "language_zh"), ("en", "language_en"))
    ratings = (("", words("any")), *((str(n), words("stars", n=n)) for n in _RATINGS))
    yes_no = (("", "any"), ("1", "yes"), ("0", "no"))
    fields = (
        f'<label>{words("filter_text")}<input name="q" type="search" maxlength="200"></label>',
        f'<label>{words("filter_from")}<input name="date_from" type="date"></label>',
        f'<label>{words("filter_to")}<input name="date_to" type="date"></label>',
        select("language", words("filter_language"), [(v, words(t)) for v, t in languages]),
        select("rating", words("filter_rating"), ratings),
        select("state", words("filter_state"), _states(words)),
        select("handed_off", words("filter_handed_off"), [(v, words(t)) for v, t in yes_no]),
        select("unanswered", words("filter_unanswered"), [(v, words(t)) for v, t in yes_no]),
        *(_by_label(task, options(task), words) for task in _FILTERED),
        select("order", words("filter_order"), [(v, words("order_" + v)) for v in _ORDERS]),
    )
    return (
        f'<form class="k-filters" data-form="find" aria-label="{words("filters")}">'
        f'{"".join(fields)}<button class="k-button k-primary">{words("filter_apply")}</button>'
        f"</form>"
    )


def conversations(
    shown: Sequence[Conversation], total: int, words: Words, *, page: int, page_size: int
) -> str:
    """Returns one page of the list; a row's first cell leads to the conversation."""
    if not shown:
        return f'<p class="k-empty">{words("no_conversations")}</p>'
    rows = [_row(conversation, words) for conversation in shown]
    headings = ("first_words", "state", "language", "messages", "rating", "updated")
    names = [words("col_" + name) for name in headings]
    names.insert(2, words("priority_col"))
    listed = table(words("conversations"), names, rows)
    return listed + pager(total, words, page=page, page_size=page_size)


def conversation(
    opened: Conversation,
    messages: Sequence[Message],
    words: Words,
    *,
    reading: Reading | None = None,
) -> str:
    """Returns a conversation with, for each message, what was understood or how it came about."""
    reading = reading or Reading()
    known = [
        (words("col_state"), words("state_" + opened.state.value)),
        (words("col_language"), words("language_" + opened.language)),
        (words("started"), moment(opened.created_at)),
        (words("col_rating"), _rating(opened, words)),
    ]
    if opened.priority is not None:
        known.append((words("priority_col"), _priority(opened, words)))
    mood = trend(messages, reading, words)
    if mood:
        known.append((words("trend"), mood))
    if opened.handoff_at is not None:
        known.append((words("handed_off_at"), moment(opened.handoff_at)))
    if opened.customer:
        claims = ", ".join(f"{name}: {value}" for name, value in opened.customer.items())
        known.append((words("customer_claims"), escape(claims)))
    shown = "".join(_message(message, reading, words) for message in messages)
    return (
        f'<p><a href="#" class="k-back">← {words("back_to_list")}</a></p>'
        f"<h2>{escape(opened.title or words.plain('untitled'))}</h2>{facts(known)}"
        f'<div class="k-transcript">{shown}</div>'
    )


def facts(shown: Sequence[tuple[str, str]]) -> str:
    """Returns named values; both parts are HTML."""
    parts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown)
    return f'<dl class="k-facts">{parts}</dl>'


def select(name: str, label: str, options: Sequence[tuple[str, str]], *, chosen: str = "") -> str:
    """Returns a labelled list to choose from; all parts are HTML."""
    choices = "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{text}</option>'
        for value, text in options
    )
    return f'<label>{label}<select name="{name}">{choices}</select></label>'


def _states(words: Words) -> list[tuple[str, str]]:
    known = [(state.value, words("state_" + state.value)) for state in ConversationState]
    return [("", words("any")), *known]


def _row(conversation: Conversation, words: Words) -> tuple[str, ...]:
    title = escape(conversation.title or words.plain("untitled"))
    state = words("state_" + conversation.state.value)
    flag = f' <span class="k-badge k-off">{words("handed_off")}</span>'
    return (
        f'<a href="#{escape(conversation.id)}">{title}</a>',
        state + (flag if conversation.handoff_at else ""),
        _priority(conversation, words),
        words("language_" + conversation.language),
        str(conversation.n_messages),
        _rating(conversation, words),
        moment(conversation.updated_at),
    )


def _rating(conversation: Conversation, words: Words) -> str:
    return "–" if conversation.rating is None else words("stars", n=conversation.rating)


def _by_label(task: Task, labels: Sequence[str], words: Words) -> str:
    """A list of a task's labels; the severity that is chosen is the least that is shown."""
    names = [(escape(label), label_name(task, label, words)) for label in labels]
    title = words("filter_" + task.value)
    return select(task.value, title, [("", words("any")), *names])


def _priority(conversation: Conversation, words: Words) -> str:
    if conversation.priority is None:
        return "–"
    name = label_name(Task.SEVERITY, str(conversation.priority), words)
    badge = f'<span class="k-badge k-{"bad" if conversation.priority >= SERIOUS else "off"}">'
    due_at, is_over = conversation.due_at, conversation.state == ConversationState.RESOLVED
    if due_at is None or is_over:
        return f"{badge}{name}</span>"
    late = "" if datetime.now(UTC) < due_at else f" {words('priority_overdue')}"
    due = f'<span class="k-soft">{words("priority_due")} {moment(due_at)}{late}</span>'
    return f"{badge}{name}</span> {due}"


def _message(message: Message, reading: Reading, words: Words) -> str:
    who = escape(message.author) if message.author else words(_WHO[message.role])
    parts = [f'<div class="k-text">{escape(message.text)}</div>']
    if message.status.value != "complete":
        parts.append(f'<p class="k-outcome">{words("message_" + message.status.value)}</p>')
    if message.is_superseded:
        parts.append(f'<p class="k-outcome">{words("message_superseded")}</p>')
    if message.feedback:
        parts.append(_feedback(message.feedback, words))
    if message.role == Role.BOT:
        parts.append(_background(message, words))
    below = background(message, reading, words) if message.role == Role.CUSTOMER else ""
    return (
        f'<article class="k-message k-{message.role.value}"><h3>{who} '
        f'<span class="k-soft">{moment(message.created_at)}</span></h3>'
        f'<div class="k-bubble">{"".join(parts)}</div>{below}</article>'
    )


def _feedback(feedback: tuple[str, str | None, str | None], words: Words) -> str:
    value, reason, comment = feedback
    said = [words("helpful" if value == "up" else "not_helpful")]
    if reason:
        said.append(words("reason_" + reason))
    if comment:
        said.append(f"“{escape(comment)}”")
    tone = "ok" if value == "up" else "bad"
    return f'<p><span class="k-badge k-{tone}">{words("feedback")}</span> {" · ".join(said)}</p>'


def _background(message: Message, words: Words) -> str:
    reply = message.reply
    parts = [_reply(reply, words)] if reply else []
    if message.evidence:
        parts.append(_evidence(message.evidence, words))
        parts.append(
            f'<p><a href="workbench#{escape(message.id)}">{words("searches_rerun")}</a></p>'
        )
    if message.prompt:
        parts.append(
            f'<h4>{words("prompt")}</h4><p class="k-where">SHA-256 '
            f'{escape(message.prompt_sha256 or "")}</p><pre tabindex="0">'
            f"{escape(message.prompt)}</pre>"
        )
    if not parts:
        return ""
    return (
        f'<details class="k-why"><summary>{words("why_this_answer")}</summary>'
        f"{''.join(parts)}</details>"
    )


def _reply(reply: Reply, words: Words) -> str:
    grounding = f"{reply.grounding.score:.2f} ({escape(reply.grounding.verdict)})"
    known = [
        (words("rewritten_question"), escape(reply.query) or "–"),
        (words("action"), escape(reply.action.value)),
        (words("reason"), escape(reply.reason.value) if reply.reason else "–"),
        (words("model"), escape(reply.model) or "–"),
        (words("adapter"), escape(reply.adapter) if reply.adapter else words("no_adapter")),
        (words("grounding"), grounding),
        (words("intent"), label_name(Task.INTENT, reply.analysis.intent.label, words)),
    ]
    cited = "".join(_citation(citation, words) for citation in reply.citations)
    sources = f'<h4>{words("sources")}</h4><ol class="k-hits">{cited}</ol>' if cited else ""
    return f"{facts(known)}<h4>{words('timings')}</h4>{timings(reply.timings_ms, words)}{sources}"


def _citation(citation: Citation, words: Words) -> str:
    page = f" · {words('page', page=citation.page)}" if citation.page is not None else ""
    return (
        f'<li value="{citation.n}"><strong>{escape(citation.document)}</strong>{page}'
        f'<div class="k-passage"><mark>{escape(citation.quote)}</mark></div></li>'
    )


def _evidence(evidence: Mapping[str, Any], words: Words) -> str:
    hits = evidence.get("hits") or []
    relevance = evidence.get("relevance")
    line = words("relevance_short", relevance="–" if relevance is None else f"{relevance:.2f}")
    items = "".join(_passage(hit, words) for hit in hits)
    body = f'<ol class="k-hits">{items}</ol>' if items else f"<p>{words('no_hits')}</p>"
    return (
        f"<h4>{words('passages')}</h4><p>{line}</p>"
        f"{timings(evidence.get('timings_ms') or {}, words)}{body}"
    )


def _passage(hit: Mapping[str, Any], words: Words) -> str:
    names = [("score", "fused"), ("dense_score", "dense"), ("lexical_score", "lexical")]
    names += [("rerank_score", "reranked")] if hit.get("rerank_score") is not None else []
    figures = " · ".join(f"{words('score_' + text)} {score(hit.get(key))}" for key, text in names)
    return (
        f"<li><strong>{escape(hit.get('document', ''))}</strong> "
        f'<span class="k-soft">{figures}</span>'
        f'<div class="k-passage">{escape(hit.get("text", ""))}</div></li>'
    )
