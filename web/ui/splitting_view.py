"""How a file would be split, as HTML: the form with the rule, and the passages under it."""

from collections.abc import Callable, Sequence

from knowledge.embedding import MAX_INPUT_TOKENS
from knowledge.preview import MIN_TOKENS
from knowledge.types import ChunkSpan, SplitKind, SplitRule
from web.ui.markup import Words, button, escape

_SHOWN = 60


def split_form(
    name: str, rule: SplitRule, usual_tokens: int, words: Words, *, document_id: str = ""
) -> str:
    """Returns the form; without a document it is about the file that was chosen."""
    kinds = "".join(
        f'<option value="{kind.value}"{" selected" if kind is rule.kind else ""}>'
        f"{words('split_' + kind.value)}</option>"
        for kind in SplitKind
    )
    return (
        f'<section class="k-split" aria-labelledby="k-split-name"><div class="k-panel-head">'
        f'<div><p class="k-label">{words("split_title")}</p>'
        f'<h2 id="k-split-name" tabindex="-1">{escape(name)}</h2></div>'
        f"{button('split-close', words('close'), kind='k-quiet', event='split')}</div>"
        f'<form class="k-row" data-form="split" data-event="split" data-live>'
        f'<input type="hidden" name="id" value="{escape(document_id)}">'
        f'<label class="k-grow"><span>{words("split_kind")}</span>'
        f'<select name="split">{kinds}</select></label>'
        f"<label><span>{words('split_tokens')}</span>"
        f'<input type="number" name="max_tokens" min="{MIN_TOKENS}" max="{MAX_INPUT_TOKENS}" '
        f'placeholder="{usual_tokens}" value="{rule.max_tokens or ""}"></label>'
        f'<button class="k-button k-primary" name="go" value="save">{words("split_save")}</button>'
        f'</form><p class="k-label">{words("split_help")}</p></section>'
    )


def passages(spans: Sequence[ChunkSpan], count: Callable[[str], int], words: Words) -> str:
    """Returns the passages with their sizes; of very many, the first ones."""
    shown = "".join(_passage(n, span, count, words) for n, span in enumerate(spans[:_SHOWN], 1))
    longest = max((count(span.text) for span in spans[:_SHOWN]), default=0)
    summary = words("split_summary", n=len(spans), longest=longest)
    rest = ""
    if len(spans) > _SHOWN:
        rest = f'<p class="k-label">{words("split_more", shown=_SHOWN, n=len(spans))}</p>'
    return f'<p class="k-label" role="status">{summary}</p><ol class="k-chunks">{shown}</ol>{rest}'


def _passage(n: int, span: ChunkSpan, count: Callable[[str], int], words: Words) -> str:
    place = [f"#{n}", words("split_size", n=count(span.text))]
    if span.page is not None:
        place.append(words("split_page", n=span.page))
    if span.headings:
        place.append(escape(" › ".join(span.headings)))
    return (
        f'<li><p class="k-where">{" · ".join(place)}</p>'
        f'<div class="k-passage">{escape(span.text)}</div></li>'
    )
