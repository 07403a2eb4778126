"""What pages show: everything people or the model wrote stays text."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bot.catalogue import LANGUAGES, load_catalogue
from bot.classifiers.labels import LABELS, Task
from bot.company import CompanyProfile
from bot.curated import CuratedAnswer, CuratedHit
from bot.labels import LabelCorrection
from bot.types import (
    Action,
    Citation,
    CitedPassage,
    ComplaintFinding,
    Conversation,
    ConversationId,
    ConversationState,
    Message,
    MessageAnalysis,
    MessageId,
    MessageStatus,
    Prediction,
    Reply,
    Role,
)
from knowledge.types import (
    Chunk,
    ChunkId,
    ChunkOrigin,
    ChunkQuestion,
    Document,
    DocumentId,
    DocumentStatus,
    Job,
    JobId,
    JobState,
    QuestionState,
    Retrieval,
    ScoredChunk,
    Visibility,
)
from web.ui import chat_view, chunks_view, curated_view, knowledge_view, transcripts_view
from web.ui.analysis_view import Reading
from web.ui.chat_view import OpenConversation
from web.ui.chunks_view import Shown
from web.ui.company import company_form
from web.ui.documents_view import Care
from web.ui.language import choose_language, other
from web.ui.markup import Words, moment

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)> **bold** [a](http://evil.example) \" ' </div><script>"
WORDS = Words(load_catalogue(), "en")


class Tags(HTMLParser):
    """The elements of a piece of HTML, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, css: str = "") -> list[dict[str, str | None]]:
        named = [attributes for found, attributes in self.found if found == tag]
        return [a for a in named if not css or css in (a.get("class") or "").split()]


def reply(text: str, **changes: object) -> Reply:
    citation = Citation(1, "d1", EVIL, EVIL, 1, 7, EVIL, 0, len(EVIL), 3, 0.9)
    made = Reply(
        MessageId("m2"),
        Action.ANSWER,
        text,
        MessageAnalysis("en", Prediction("question", 0.9)),
        query=EVIL,
        citations=(citation,),
        suggestions=(EVIL,),
        model=EVIL,
        adapter=EVIL,
        timings_ms={"generate": 12.34},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def message(role: Role, text: str = EVIL, **changes: object) -> Message:
    made = Message(MessageId("m2"), ConversationId("c1"), role, text, MessageStatus.COMPLETE, NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


def conversation(**changes: object) -> Conversation:
    made = Conversation(
        ConversationId("c1"), ConversationState.BOT, "en", NOW, NOW, title=EVIL, n_messages=2
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def opened(*messages: Message) -> OpenConversation:
    return OpenConversation(conversation(), 'to"ken', messages)


PROFILE = CompanyProfile(EVIL, EVIL, EVIL, EVIL, (EVIL,))
ANSWER = message(Role.BOT, f"{EVIL} [1] [9]", reply=reply(EVIL), feedback=("down", "wrong", EVIL))
UNDERSTOOD = message(
    Role.CUSTOMER,
    analysis=MessageAnalysis(
        "en",
        Prediction(EVIL, 0.9),
        sentiment=Prediction("negative", 0.7),
        complaint=ComplaintFinding(True, "other", 3, 0.6, (EVIL,)),
    ),
)
READING = Reading(
    {UNDERSTOOD.id: [LabelCorrection(UNDERSTOOD.id, Task.INTENT, EVIL, EVIL, EVIL, NOW)]},
    LABELS | {Task.INTENT: (EVIL,)},
)
EVIDENCE = {
    "relevance": 0.75,
    "timings_ms": {"dense": 1.5},
    "hits": [{"document": EVIL, "text": EVIL, "score": 0.03, "dense_score": 0.9}],
}
CHUNK = Chunk(ChunkId(1), DocumentId("d1"), 1, EVIL, 0, 9, page=2, headings=(EVIL,))
DOCUMENT = Document(
    DocumentId("d1"), EVIL, EVIL + "!", DocumentStatus.FAILED, 1, 3, 2048, "0" * 64, NOW, NOW,
    error=EVIL, job_id=JobId("j1"),
)  # fmt: skip
JOB = Job(JobId("j1"), "ingest", JobState.RUNNING, 0.4, "embedding", NOW, NOW)
HIT = ScoredChunk(CHUNK, EVIL, EVIL, 0.0164, 1, dense_score=0.91, dense_rank=1)
PASSAGE = CitedPassage(EVIL, EVIL, 3, EVIL, EVIL, EVIL, 0, 5, 1)
WITH_BACKGROUND = replace(ANSWER, evidence=EVIDENCE, prompt=EVIL, prompt_sha256="ab")

CURATED = CuratedAnswer("a1", "zh", EVIL, (EVIL, EVIL), False, EVIL, NOW, NOW, 3)

PIECES = {
    "log": chat_view.log(opened(message(Role.CUSTOMER), ANSWER), PROFILE, WORDS),
    "welcome": chat_view.log(None, PROFILE, WORDS),
    "header": chat_view.header_name(PROFILE, WORDS),
    "live": chat_view.live(EVIL, WORDS("writing"), WORDS),
    "failure": chat_view.failure(EVIL, EVIL, EVIL, WORDS),
    "panel": chat_view.panel(PASSAGE, 1, WORDS),
    "documents": knowledge_view.documents(
        [DOCUMENT], {DOCUMENT.id: JOB}, WORDS, may_write=True
    ),
    "chunks": chunks_view.panel(
        Shown(
            DOCUMENT,
            [CHUNK, replace(CHUNK, enabled=False, pinned=True, original=EVIL, edited_by=EVIL,
                            edited_at=NOW, origin=ChunkOrigin.ORPHANED)],
            {CHUNK.id: [ChunkQuestion(1, CHUNK.id, EVIL, QuestionState.PROPOSED, EVIL, NOW)]},
            may_write=True,
            changed=CHUNK.id,
        ),
        WORDS,
    ),
    "curated": curated_view.answers([CURATED], WORDS, may_write=True, changed="a1"),
    "curated history": curated_view.history(
        CURATED, [CuratedHit(NOW, EVIL, EVIL, 0.9, "c1", "m1")], 1, WORDS
    ),
    "found": knowledge_view.found(Retrieval(EVIL, (HIT,), 0.8, {"dense": 2.0}), WORDS),
    "list": transcripts_view.conversations([conversation()], 1, WORDS, page=1, page_size=20),
    "transcript": transcripts_view.conversation(
        conversation(customer={"name": EVIL}), [message(Role.CUSTOMER), WITH_BACKGROUND], WORDS
    ),
    "understood": transcripts_view.conversation(
        conversation(), [UNDERSTOOD, UNDERSTOOD], WORDS, reading=READING
    ),
    "company": company_form(dict.fromkeys(LANGUAGES, PROFILE), WORDS),
}  # fmt: skip


@pytest.mark.parametrize("html", PIECES.values(), ids=PIECES.keys())
def test_what_people_wrote_stays_text(html: str) -> None:
    tags = Tags(html)
    names = {tag for tag, _ in tags.found}
    assert not names & {"img", "script", "b", "iframe", "link", "style"}
    assert not any(key.startswith("on") for _, attributes in tags.found for key in attributes)
    assert all("evil" not in (a.get("href") or "") for _, a in tags.found)
    shown = tags.text + " ".join(str(value) for _, a in tags.found for value in a.values())
    assert "onerror=alert(1)" in shown


def test_known_markers_become_buttons_and_others_stay_text() -> None:
    tags = Tags(PIECES["log"])
    cites = tags.all("button", "k-cite")
    assert [(c["data-n"], c["data-message"]) for c in cites] == [("1", "m2")]
    assert "[9]" in tags.text
    assert "[1]" not in tags.text


def test_log_hands_the_browser_id_token_and_title() -> None:
    log = Tags(PIECES["log"]).found[0][1]
    assert (log["data-id"], log["data-token"], log["data-title"]) == ("c1", 'to"ken', EVIL)
    assert log["role"] == "log"


def test_only_the_last_answer_can_be_written_again() -> None:
    first = replace(ANSWER, id=MessageId("m1"))
    tags = Tags(chat_view.log(opened(first, ANSWER), PROFILE, WORDS))
    acts = [(a.get("data-act"), a.get("data-message")) for a in tags.all("button", "k-quiet")]
    assert [m for act, m in acts if act == "regenerate"] == ["m2"]
    assert len(tags.all("form", "k-feedback")) == 2


def test_a_vote_is_shown_as_pressed() -> None:
    pressed = {
        a["data-act"]: a["aria-pressed"] for a in Tags(PIECES["log"]).all("button", "k-thumb")
    }
    assert pressed == {"up": "false", "down": "true"}


@pytest.mark.parametrize(
    ("status", "text"),
    [(MessageStatus.INTERRUPTED, "interrupted"), (MessageStatus.FAILED, "failed")],
)
def test_an_unfinished_answer_says_so(status: MessageStatus, text: str) -> None:
    shown = chat_view.log(opened(replace(ANSWER, status=status)), PROFILE, WORDS)
    assert WORDS(text) in shown
    assert WORDS(text) not in PIECES["log"]


def test_offered_person_is_a_button_in_the_last_answer() -> None:
    offering = replace(ANSWER, reply=reply("?", handoff_offered=True))
    tags = Tags(chat_view.log(opened(offering), PROFILE, WORDS))
    assert [a["data-act"] for a in tags.all("button", "k-offer")] == ["person"]


def test_passage_is_marked_between_its_surroundings() -> None:
    html = chat_view.panel(
        CitedPassage("a.pdf", "", 2, "before ", "quote", " after", 7, 12, 1), 1, WORDS
    )
    assert "before <mark>quote</mark> after" in html
    assert WORDS("page", page=2) in html


def test_scores_and_times_of_every_stage_are_shown() -> None:
    text = Tags(PIECES["found"]).text
    for shown in ("0.0164", "0.91 (#1)", "–", "2.0 ms", "0.80", "0.50"):
        assert shown in text


@pytest.mark.parametrize(
    ("job", "may_write", "acts"),
    [
        (
            JOB,
            True,
            ["chunks", "cancel", "care", "split", "make_staff", "archive", "replace", "delete"],
        ),
        (
            replace(JOB, state=JobState.FAILED),
            True,
            ["chunks", "retry", "care", "split", "make_staff", "archive", "replace", "delete"],
        ),
        (None, True, ["chunks", "care", "split", "make_staff", "archive", "replace", "delete"]),
        (JOB, False, ["chunks"]),
    ],
)
def test_documents_offer_what_one_may_do(job: Job | None, may_write: bool, acts: list[str]) -> None:
    jobs = {DOCUMENT.id: job} if job else {}
    html = knowledge_view.documents([DOCUMENT], jobs, WORDS, may_write=may_write)
    assert [a["data-act"] for a in Tags(html).all("button")] == acts


def test_empty_lists_say_what_to_do() -> None:
    assert WORDS("no_documents") in knowledge_view.documents([], {}, WORDS, may_write=True)
    assert WORDS("no_conversations") in transcripts_view.conversations(
        [], 0, WORDS, page=1, page_size=20
    )


def test_pages_of_a_list_lead_back_and_forth() -> None:
    html = transcripts_view.conversations([conversation()] * 20, 60, WORDS, page=2, page_size=20)
    turns = [a["data-page"] for a in Tags(html).all("button") if a["data-act"] == "page"]
    assert turns == ["1", "3"]
    assert "Page 2 of 3, 60 in all" in html


def test_transcript_explains_an_answer() -> None:
    text = Tags(PIECES["transcript"]).text
    for shown in ("12.3 ms", "0.75", "1.5 ms", "SHA-256 ab", WORDS.plain("reason_wrong")):
        assert shown in text


@pytest.mark.parametrize(
    ("n_bytes", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB")]
)
def test_sizes_are_readable(n_bytes: int, shown: str) -> None:
    assert knowledge_view.size(n_bytes) == shown


def test_times_are_utc_with_a_machine_form() -> None:
    assert moment(NOW) == ('<time datetime="2026-11-21T09:05:00+00:00">2026-11-21 09:05 UTC</time>')


@pytest.mark.parametrize(
    ("cookie", "accepts", "language"),
    [
        ("en", "zh-CN", "en"),
        ("zh", "en", "zh"),
        ("fr", "zh-TW,en;q=0.5", "zh"),
        (None, "de, zh;q=0.3, en;q=0.8", "en"),
        (None, None, "en"),
    ],
)
def test_language_is_remembered_else_the_browsers(
    cookie: str | None, accepts: str | None, language: str
) -> None:
    assert choose_language(cookie, accepts) == language


def test_the_switch_leads_to_the_other_language() -> None:
    assert [other(language) for language in LANGUAGES] == ["en", "zh"]


def test_every_text_of_the_pages_is_used() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in Path(chat_view.__file__).parent.glob("*.py")
    )
    families = re.findall(r"[\"']([a-z_]+_)[\"'] \+|\"pages\.([a-z]+_)\{|\(f\"([a-z]+_)\{", code)
    built = tuple(name for family in families for name in family if name)
    texts = [key for key in load_catalogue().keys() if key.startswith("pages.")]  # noqa: SIM118
    names = [key.removeprefix("pages.") for key in texts]
    unused = {
        name
        for name in names
        if not re.search(rf"[\"'.]{name}[\"']", code) and not name.startswith(built)
    }
    assert unused == set()


def test_health_use_and_tags_of_a_document_are_shown_escaped() -> None:
    document = replace(DOCUMENT, tags=("<b>price</b>",), visibility=Visibility.STAFF)
    facts = Care(document.updated_at, 10, {document.id: 7})
    html = knowledge_view.documents([document], {}, WORDS, may_write=True, facts=facts)
    assert "<b>price" not in html
    assert ">7</td>" in html
