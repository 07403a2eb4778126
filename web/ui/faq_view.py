"""The FAQ import as HTML: the template's links, and what a filled one holds."""

from collections.abc import Sequence

from knowledge.faq_template import BadRow, FaqCheck, FaqEntry
from web.ui.markup import Words, button, escape, notice, table

_SHOWN = 50  # of each list


def links(words: Words) -> str:
    """Returns the two templates to download."""
    downloads = "".join(
        f'<a class="k-button" href="../api/v1/faq/template.{kind}?lang={words.language}" '
        f"download>{words(label)}</a> "
        for kind, label in (("xlsx", "faq_download_xlsx"), ("csv", "faq_download_csv"))
    )
    return f'<p class="k-below k-acts">{downloads}</p><p class="k-label">{words("faq_help")}</p>'


def checked(name: str, check: FaqCheck, words: Words) -> str:
    """Returns good and bad rows, with the buttons that import or discard."""
    n_good, n_bad = len(check.entries), len(check.bad)
    kind = "error" if n_bad or not n_good else "info"
    summary = words("faq_summary", name=name, good=n_good, bad=n_bad)
    parts = [notice(summary, kind=kind)]
    if check.ignored_columns:
        columns = ", ".join(check.ignored_columns)[:200]
        parts.append(f'<p class="k-label">{words("faq_ignored", columns=columns)}</p>')
    ask = button("faq-import", words("faq_import", n=n_good), kind="k-primary")
    none = f"<span>{words('faq_none')}</span>"
    acts = (ask if n_good else none) + button("faq-discard", words("faq_discard"))
    parts.append(f'<div class="k-acts">{acts}</div>')
    parts.append(f'<p class="k-label">{words("faq_replaces")}</p>')
    return "".join(parts) + _bad(check.bad, words) + _good(check.entries, words)


def _bad(rows: Sequence[BadRow], words: Words) -> str:
    if not rows:
        return ""
    shown = [
        (
            str(row.row),
            escape(row.question) or "–",
            words("faq_problem_" + row.problem.value, other=row.other),
        )
        for row in rows[:_SHOWN]
    ]
    return _section("faq_bad_title", ("row", "question", "problem"), shown, len(rows), words)


def _good(entries: Sequence[FaqEntry], words: Words) -> str:
    if not entries:
        return ""
    shown = [
        (
            str(entry.row),
            escape(entry.question),
            escape(" | ".join(entry.phrasings)) or "–",
            escape(entry.answer),
            _group(entry, words),
        )
        for entry in entries[:_SHOWN]
    ]
    headings = ("row", "question", "phrasings", "answer", "group")
    return _section("faq_good_title", headings, shown, len(entries), words)


def _section(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], n: int, words: Words
) -> str:
    more = words("faq_more", shown=len(rows), n=n) if n > len(rows) else ""
    listed = table(words(title), [words("col_" + name) for name in headings], rows)
    return f'<h2>{words(title)}</h2>{listed}<p class="k-label">{more}</p>'


def _group(entry: FaqEntry, words: Words) -> str:
    language = words(f"language_{entry.language}") if entry.language else "–"
    tags = "".join(f' <span class="k-badge k-off">{escape(tag)}</span>' for tag in entry.tags)
    return f"{language} · {words(f'visible_{entry.visibility.value}')}{tags}"
