"""The pages by name: which there are, in which order, and who may open them. Loads no Gradio."""

from web.security import Access

CHAT = "chat"

#: The staff pages in the order of the bar, with what one must be allowed to open them.
PAGES: tuple[tuple[str, Access], ...] = (
    ("knowledge", "documents.read"),
    ("sources", "documents.read"),
    ("faq", "documents.read"),
    ("curated", "documents.read"),
    ("conflicts", "documents.read"),
    ("workbench", "search"),
    ("evaluation", "search"),
    ("intents", "labels"),
    ("labelling", "labels"),
    ("transcripts", "transcripts"),
    ("company", "company"),
)

#: Pages that the bar shows below another one, which they belong to.
BELOW = {"evaluation": "workbench", "labelling": "intents"}

#: The pages that take files in.
WITH_UPLOADS = frozenset({"knowledge", "sources", "faq", "evaluation"})


def base_path(page: str) -> str:
    """Returns where a page's Gradio apps are mounted, without the language."""
    return "/ui" if page == CHAT else f"/staff/ui/{page}"
