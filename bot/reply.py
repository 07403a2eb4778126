"""The reply flow: one question in, events out, the finished reply in the draft.

policy → contextualize → curated answer, else retrieve → policy with the evidence → prompt →
generate, streamed and saved as it grows → ground → policy on the grounding → suggest. `bot.chat`
stores what comes out.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.catalogue import Catalogue
from bot.company import CompanyTexts
from bot.conversations import ConversationStore
from bot.curated_matching import CuratedMatch
from bot.curated_reply import CuratedReplies
from bot.dialogue.asking import asking
from bot.dialogue.language import reply_language
from bot.dialogue.policy import (
    Decision,
    decide,
    decide_on_grounding,
    decide_with_evidence,
    deserves_person,
)
from bot.dialogue.query import contextualize, is_follow_up
from bot.events import Citations, Event, Status, Token
from bot.grounding import Checked, Grounder
from bot.llm.base import ChatModel, Delta, Finished, GenerationParams, Queued
from bot.opening import Opening
from bot.prompting import Prompt, PromptBuilder, PromptRequest
from bot.quotation import Quoter
from bot.settings import ChatSettings
from bot.suggestions import Retriever, Suggester
from bot.text import sentence_spans
from bot.turns import Turn, TurnStore
from bot.types import (
    Action,
    ConversationState,
    MessageAnalysis,
    MessageStatus,
    Reason,
    Reply,
)
from bot.understanding import Analyzer, RuleAnalyzer
from knowledge.cost import more_likely
from knowledge.neighbors import ALONE, NeighborFinder
from knowledge.types import DocumentId, DocumentVersion, Retrieval, ScoredChunk

_log = logging.getLogger(__name__)

#: The odds of strong evidence beside those that are just enough to answer from: on the development
#: questions 0.18 beside 0.13, which is what 0.7 and 0.4 were before relevance was a probability.
_STRONG = 1.5
_VARIATION_TEMPERATURE = 0.7


class VersionSource(Protocol):
    """Gives the stored text of a document's version."""

    def version(self, document_id: DocumentId, version: int | None = None) -> DocumentVersion:
        """Returns the version's text; raises DocumentNotFound after the document's removal."""
        ...

    def is_public(self, document_id: DocumentId) -> bool:
        """False for a document that staff alone may read."""
        ...


@dataclass(frozen=True, slots=True)
class ChatParts:
    """What the reply flow is made of."""

    model: ChatModel
    retriever: Retriever
    documents: VersionSource
    conversations: ConversationStore
    turns: TurnStore
    company: CompanyTexts
    catalogue: Catalogue
    prompts: PromptBuilder
    grounder: Grounder
    quoter: Quoter
    suggester: Suggester
    analyzer: Analyzer
    curated: CuratedReplies | None = None
    neighbors: NeighborFinder | None = None  # None: passages are read alone


@dataclass(slots=True)
class Draft:
    """A reply in the making; what is known of it is stored however the turn ends."""

    analysis: MessageAnalysis
    language: str
    started: float = field(default_factory=time.perf_counter)
    text: str = ""
    query: str = ""
    retrieval: Retrieval | None = None
    prompt: Prompt | None = None
    is_cut: bool = False  # the model ran into its limit
    is_shown: bool = False  # some of the model's text was streamed
    timings_ms: dict[str, float] = field(default_factory=dict)
    reply: Reply | None = None

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to a stage."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - before) * 1000)

    def elapsed_ms(self) -> float:
        """Time since the message was taken up."""
        return (time.perf_counter() - self.started) * 1000

    def add(self, stage: str, duration_ms: float) -> None:
        """Adds a duration to a stage."""
        self.timings_ms[stage] = round(self.timings_ms.get(stage, 0.0) + duration_ms, 2)


class ReplyFlow:
    """Makes replies; keeps nothing between two of them."""

    def __init__(
        self, parts: ChatParts, *, settings: ChatSettings, generation: GenerationParams
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._generation = generation

    def draft(self, turn: Turn) -> Draft:
        """Starts a draft with the analysis of the message, which mostly came with the turn."""
        started = time.perf_counter()
        default = turn.dialogue.language
        analysis = turn.analysis or self.analyze(turn.text, default)
        language = reply_language(analysis.language, turn.text, default)
        draft = Draft(analysis, language, started)
        draft.add("analyze", turn.analyzed_ms or draft.elapsed_ms())
        return draft

    def analyze(self, text: str, default: str) -> MessageAnalysis:
        """Understands a message; an analyzer that fails must not cost the customer an answer."""
        try:
            return self._parts.analyzer.analyze(text, default_language=default)
        except Exception:  # noqa: BLE001  # logged; the rules alone are enough to answer
            _log.exception("the analyzer failed on a message of %d characters", len(text))
            return RuleAnalyzer().analyze(text, default_language=default)

    def answer(self, turn: Turn, draft: Draft, stop: threading.Event) -> Iterator[Event]:
        """The reply flow; leaves the finished reply in the draft."""
        decision = decide(draft.analysis, turn.dialogue.state, asking=asking(turn.text))
        if not decision.needs_evidence:
            yield from self._say(turn, draft, decision)
            return
        draft.query = contextualize(turn.text, turn.dialogue.history)
        curated = self._find_curated(draft)
        if curated is not None:
            yield from self._cite(turn, draft, (self._give(curated, turn, draft), decision))
            return
        yield Status("searching")
        retrieval = self._search(turn, draft)
        decision = decide_with_evidence(
            draft.analysis, retrieval.relevance, threshold=retrieval.threshold
        )
        if decision.action is not Action.ANSWER:
            yield from self._say(turn, draft, decision)
            return
        prompt = self._build_prompt(turn, draft, retrieval)
        yield from self._write(turn, draft, stop)
        if stop.is_set():
            draft.reply = self.reply(turn, draft, Decision(Action.ANSWER))
            draft.reply = replace(draft.reply, status=MessageStatus.INTERRUPTED)
            return
        with draft.timed("ground"):
            checked, decision = self._ground(draft, retrieval, prompt)
        if decision.action is not Action.ANSWER:
            yield from self._say(turn, draft, decision)
            return
        yield from self._cite(turn, draft, (checked, decision))

    def _find_curated(self, draft: Draft) -> CuratedMatch | None:
        with draft.timed("curated"):
            curated = self._parts.curated
            return curated.find(draft.query, draft.language) if curated else None

    def _give(self, match: CuratedMatch, turn: Turn, draft: Draft) -> Checked:
        """Returns the approved text as it is, and notes that it was given."""
        assert self._parts.curated is not None  # noqa: S101
        self._parts.curated.record(match, draft.query, turn)
        return self._parts.curated.checked(match, draft.language)

    def _search(self, turn: Turn, draft: Draft) -> Retrieval:
        """Searches for the stand-alone question; a follow-up that fails is tried as written."""
        with draft.timed("retrieve"):
            found = self._parts.retriever.search(draft.query)
            if draft.query != turn.text and not found.is_relevant:
                alone = self._parts.retriever.search(turn.text)
                if alone.relevance > found.relevance:
                    found, draft.query = alone, turn.text
        draft.retrieval = found
        for stage, duration_ms in found.timings_ms.items():
            draft.add(f"retrieve_{stage}", duration_ms)
        return found

    def _build_prompt(self, turn: Turn, draft: Draft, retrieval: Retrieval) -> Prompt:
        """History goes in only where the question needs it."""
        n_turns = self._settings.history_turns
        history = turn.dialogue.history[-n_turns:] if n_turns else ()
        finder, hits = self._parts.neighbors, retrieval.hits[: self._settings.passages]
        with draft.timed("prompt"):
            request = PromptRequest(
                draft.language,
                draft.query,
                hits,
                history if is_follow_up(turn.text) else (),
                finder.around(hits[0]) if finder and hits else ALONE,
            )
            draft.prompt = self._parts.prompts.build(request)
        return draft.prompt

    def _write(self, turn: Turn, draft: Draft, stop: threading.Event) -> Iterator[Event]:
        """Streams the model's text and saves it while it grows."""
        assert draft.prompt is not None  # noqa: S101
        assert turn.reply_id is not None  # noqa: S101
        params = self._generation
        if turn.is_variation:
            params = replace(params, temperature=_VARIATION_TEMPERATURE, seed=secrets.randbits(31))
        opening = Opening(draft.query, _read(draft.retrieval, draft.prompt))
        saved_at = time.monotonic()
        events = self._parts.model.generate(draft.prompt.messages, params, stop=stop)
        with contextlib.closing(events):  # type: ignore[type-var]  # generators have close
            for event in events:
                if isinstance(event, Delta):
                    if not draft.text:
                        draft.add("model_first_token", draft.elapsed_ms())
                    draft.text += event.text
                    if not draft.is_shown and opening.is_empty(draft.text):
                        break
                    yield from self._show(draft, event.text, opening)
                elif isinstance(event, Queued):
                    yield Status("queued", event.position)
                elif isinstance(event, Finished):
                    _note(draft, event)
                if time.monotonic() - saved_at >= self._settings.checkpoint_s:
                    with draft.timed("persist"):
                        if not self._parts.turns.checkpoint(turn.reply_id, draft.text):
                            stop.set()  # ended by another process
                    saved_at = time.monotonic()

    def _show(self, draft: Draft, piece: str, opening: Opening) -> Iterator[Event]:
        """Streams a piece of text, once the answer has got beyond repeating the question."""
        if draft.is_shown:
            yield Token(piece)
        elif opening.is_answer(draft.text):
            draft.is_shown = True
            draft.add("first_token", draft.elapsed_ms())
            yield Status("writing")
            yield Token(draft.text)

    def _ground(
        self, draft: Draft, retrieval: Retrieval, prompt: Prompt
    ) -> tuple[Checked, Decision]:
        """Checks the model's text; where nothing carries it, the best passage is quoted.

        So it is where the text leaves the best passage aside: of 102 hard questions about the
        demo company 14 were answered like that, 4 from the right document; quoted were 10.

        Not so where the model said something else in words: then only strong evidence is.
        """
        hits = _read(retrieval, prompt)
        best = {hit.chunk.id for hit in (*hits[:1], *prompt.neighbors)}
        text = _whole_sentences(draft.text) if draft.is_cut else draft.text
        checked = self._parts.grounder.check(text, draft.query, hits)
        is_best_used = any(cited.chunk_id in best for cited in checked.citations)
        if checked.is_carried and is_best_used:
            return checked, decide_on_grounding(draft.analysis, is_carried=True, has_quote=False)
        strong = more_likely(retrieval.threshold, _STRONG)
        quoted = None
        if retrieval.relevance >= strong or not checked.is_evasive:
            quoted = self._parts.quoter.quote(draft.query, hits)
        decision = decide_on_grounding(
            draft.analysis, is_carried=False, has_quote=quoted is not None
        )
        if quoted is None:
            return checked, decision
        lead = self._parts.catalogue.text("chat.extract", draft.language)
        return replace(quoted, text=f"{lead}\n{quoted.text}"), decision

    def _cite(self, turn: Turn, draft: Draft, outcome: tuple[Checked, Decision]) -> Iterator[Event]:
        checked, decision = outcome
        company = self._parts.company.get(draft.language)
        text = checked.text
        if turn.dialogue.state is ConversationState.QUEUED:
            pending = self._parts.catalogue.text(
                "chat.handoff_pending", draft.language, contact=company.contact
            )
            text = f"{text}\n\n{pending}"
        elif deserves_person(draft.analysis):
            offer = self._parts.catalogue.text("chat.complaint_offer", draft.language)
            text = f"{text}\n\n{offer}"
        if not draft.is_shown:
            yield Token(text)
        yield Citations(checked.citations)
        draft.text = text
        with draft.timed("suggest"):
            asked = [exchange.question for exchange in turn.dialogue.history]
            hits = draft.retrieval.hits if draft.retrieval else ()
            suggestions = self._parts.suggester.follow_ups(
                hits, company.suggestions, [*asked, turn.text]
            )
        draft.reply = replace(
            self.reply(turn, draft, decision),
            citations=checked.citations,
            grounding=checked.grounding,
            suggestions=suggestions,
        )

    def _say(self, turn: Turn, draft: Draft, decision: Decision) -> Iterator[Event]:
        """Answers with a fixed text, without the model."""
        text = self._fixed_text(turn, draft, decision)
        if not draft.is_shown:
            yield Token(text)
        draft.text = text
        draft.reply = self.reply(turn, draft, decision)

    def _fixed_text(self, turn: Turn, draft: Draft, decision: Decision) -> str:
        language, state = draft.language, turn.dialogue.state
        if decision.action is Action.NONE:
            raise ValueError("A person has this conversation; the bot says nothing.")
        if decision.action is Action.HANDOFF:
            is_new = state is not ConversationState.QUEUED
            return self.handoff_text(language, is_new=is_new)
        if decision.action is Action.SMALLTALK:
            return self._parts.catalogue.text(f"chat.{draft.analysis.intent.label}", language)
        if decision.reason is Reason.UNSUPPORTED_LANGUAGE:
            return self._parts.catalogue.text("chat.unsupported_language", language)
        company = self._parts.company.get(language)
        if state is ConversationState.QUEUED:
            key, values = "chat.handoff_pending", {"contact": company.contact}
        else:
            key, values = "chat.offer_person", {}
        separator = "" if language == "zh" else " "
        return company.fallback + separator + self._parts.catalogue.text(key, language, **values)

    def handoff_text(self, language: str, *, is_new: bool) -> str:
        """Words that a person was asked for, with the company's contact."""
        key = "chat.handoff_recorded" if is_new else "chat.handoff_repeated"
        contact = self._parts.company.get(language).contact
        return self._parts.catalogue.text(key, language, contact=contact)

    def reply(self, turn: Turn, draft: Draft, decision: Decision) -> Reply:
        """Returns the reply as far as the draft has it."""
        draft.timings_ms["total"] = round(draft.elapsed_ms(), 2)
        used_model = draft.prompt is not None
        return Reply(
            message_id=turn.reply_id or turn.customer_message_id,
            action=decision.action,
            text=draft.text,
            analysis=draft.analysis,
            query=draft.query,
            adapter=self._parts.model.adapter if used_model else None,
            model=self._parts.model.name if used_model else "",
            timings_ms=draft.timings_ms,
            reason=decision.reason,
            handoff_offered=decision.offers_person,
        )


def _read(retrieval: Retrieval | None, prompt: Prompt) -> tuple[ScoredChunk, ...]:
    """The passages that the model reads, the best first and the best one's neighbours last."""
    hits = retrieval.hits[: prompt.n_passages] if retrieval else ()
    return (*hits, *prompt.neighbors)


def _whole_sentences(text: str) -> str:
    """Leaves out the last sentence, which was cut off, unless it is the only one."""
    spans = sentence_spans(text)
    return text[: spans[-1][0]].rstrip() if len(spans) > 1 else text


def _note(draft: Draft, finished: Finished) -> None:
    draft.is_cut = finished.reason == "length"
    draft.add("queue", finished.queue_ms)
    draft.add("prefill", finished.prefill_ms)
    draft.add("decode", finished.decode_ms)
