"""The ingest flow: parse → compare → split → keep edits → embed → store → switch → index.

A document can be searched when its passages are embedded; their sentences follow when no file
waits (`knowledge.sentence_job`), and while more files wait, the index follows the outbox.

Chunks of the new version are stored batch by batch as they are embedded; they are not live
until one transaction switches the document over. A run after a crash finds them and embeds only
what is missing, so it is safe to repeat. The old version stays searchable until the switch.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from knowledge.chunking import split
from knowledge.duplicates import Intake, record, settle
from knowledge.errors import ParseFailed
from knowledge.ingestion import Upload
from knowledge.job_run import JobRun, batches, rough_tokens
from knowledge.jobs import INGEST, SENTENCES, add_job, advance, drop_staged, is_waiting, succeed
from knowledge.kept_edits import Passage, Revision, carry_over, load_marked, move_questions
from knowledge.live_chunks import encode_vector, passage_text, record_changes
from knowledge.parts import part_texts
from knowledge.preview import rule_from
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow
from knowledge.types import ChunkSpan, DocumentId, DocumentStatus, ParsedDocument, SplitRule
from knowledge.uploads import UploadFolder

logger = logging.getLogger(__name__)

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\u3400-\u9fff]+")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")

_PARSED, _SPLIT, _EMBEDDED = 0.08, 0.1, 0.97


def ingest(run: JobRun) -> None:
    """Carries out one ingest job.

    Raises:
        KnowledgeError: the file cannot be used, or is to be skipped; the message is for its owner.
        JobLost: the job was cancelled or taken over.
        WorkerStopping: the process is shutting down.
    """
    upload = Upload.from_payload(run.claim.payload)
    if not _is_live_already(run, upload):
        parsed = _parse(run, upload)
        run.report("comparing", _PARSED)
        intake = settle(run, upload, parsed.text)
        run, upload = intake.run, intake.upload
        run.report("splitting", _PARSED)
        rule = _rule(run)
        spans = split(
            parsed,
            max_tokens=rule.max_tokens or run.options.chunk_tokens,
            count_tokens=run.embedder.count_tokens,
            kind=rule.kind,
        )
        if not spans:
            raise ParseFailed("No text was found in the file. Scanned pages need text first.")
        kept = _keep_edits(run, parsed, spans)
        _store_text(run, upload, replace(parsed, text=kept.text))
        _embed(run, upload, parsed.title, kept.passages)
        _switch(intake, parsed, kept)
    with Session(run.engine) as session:
        goes_on = is_waiting(session, frozenset({INGEST}))
    if not goes_on:
        run.indexes.refresh()
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)


def _rule(run: JobRun) -> SplitRule:
    with Session(run.engine) as session:
        stored = session.get_one(DocumentRow, run.claim.job.document_id).split_rule
    return rule_from(stored)


def _is_live_already(run: JobRun, upload: Upload) -> bool:
    """True when a run before this one was stopped between the switch and its end."""
    with Session(run.engine) as session:
        document = session.get_one(DocumentRow, run.claim.job.document_id)
        return document.version >= upload.version


def _parse(run: JobRun, upload: Upload) -> ParsedDocument:
    """Has the file parsed where a parser that never ends or crashes holds nothing up."""
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, stage="parsing", progress=0.0)
        document = session.get_one(DocumentRow, run.claim.job.document_id)
        document.status = DocumentStatus.PROCESSING
    try:
        content = UploadFolder(run.options.uploads_dir).read(upload.sha256)
    except FileNotFoundError as error:
        raise ParseFailed("The uploaded file is gone; upload it again.") from error
    return run.options.parsing.run(upload.name, content, run.options.limits, check=run.check)


def _keep_edits(run: JobRun, parsed: ParsedDocument, spans: Sequence[ChunkSpan]) -> Revision:
    """Brings what people did to the live version into the new one.

    Nobody can edit meanwhile: words do not change while a job of the document is open.
    """
    with Session(run.engine) as session:
        marked = load_marked(session, DocumentId(str(run.claim.job.document_id)))
    return carry_over(parsed.text, spans, marked)


def _store_text(run: JobRun, upload: Upload, parsed: ParsedDocument) -> None:
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        session.merge(
            DocumentVersionRow(
                document_id=run.claim.job.document_id,
                version=upload.version,
                name=upload.name,
                title=parsed.title[:500],
                text=parsed.text,
                sha256=upload.sha256,
                author=upload.author,
                created_at=datetime.now(UTC),
            )
        )


def _embed(run: JobRun, upload: Upload, title: str, kept: Sequence[Passage]) -> None:
    """Embeds and stores the spans that an earlier run has not stored already."""
    n_done = _resume(run, upload, [passage.span for passage in kept])
    run.report("embedding", _SPLIT)
    todo = kept[n_done:]
    passages = [passage_text(title, one.span.headings, one.span.text) for one in todo]
    for part in batches(passages, rough_tokens):
        run.wait_turn()
        vectors = run.embedder.embed_passages(passages[part])  # (n, dim)
        spans = [passage.span for passage in todo[part]]
        has_parts = [bool(part_texts(title, span.headings, span.text)) for span in spans]
        rows = [
            {
                "document_id": run.claim.job.document_id,
                "version": upload.version,
                "ordinal": n_done + part.start + offset,
                **asdict(passage.span),
                **asdict(passage.marks),
                "headings": list(passage.span.headings),
                "embedder": run.embedder.id,
                "embedding": encode_vector(vector),
                "parts_due": is_parted,
            }
            for offset, (passage, vector, is_parted) in enumerate(
                zip(todo[part], vectors, has_parts, strict=True)
            )
        ]
        share = (n_done + part.stop) / len(kept)
        with Session(run.engine) as session, session.begin():
            advance(session, run.claim, progress=_SPLIT + (_EMBEDDED - _SPLIT) * share)
            session.execute(insert(ChunkRow), rows)


def _resume(run: JobRun, upload: Upload, spans: Sequence[ChunkSpan]) -> int:
    """Returns how many leading spans are stored with our vectors; drops any others."""
    mine = (ChunkRow.document_id == run.claim.job.document_id, ChunkRow.version == upload.version)
    columns = (ChunkRow.ordinal, ChunkRow.start, ChunkRow.end, ChunkRow.text, ChunkRow.embedder)
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        stored = session.execute(select(*columns).where(*mine).order_by(ChunkRow.ordinal)).all()
        n_done = 0
        for row, span in zip(stored, spans, strict=False):
            expected = (n_done, span.start, span.end, span.text, run.embedder.id)
            if tuple(row) != expected:
                break
            n_done += 1
        session.execute(delete(ChunkRow).where(*mine, ChunkRow.ordinal >= n_done))
    if n_done:
        logger.info("job %s goes on after %d stored chunks", run.claim.job.id, n_done)
    return n_done


def _switch(intake: Intake, parsed: ParsedDocument, kept: Revision) -> None:
    """Makes the new version the live one and drops the old one's chunks, in one transaction."""
    run, upload = intake.run, intake.upload
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, stage="indexing", progress=_EMBEDDED)
        document = session.get_one(DocumentRow, run.claim.job.document_id)
        mine = ChunkRow.document_id == document.id
        old = list(
            session.scalars(select(ChunkRow.id).where(mine, ChunkRow.version < upload.version))
        )
        new = list(
            session.scalars(
                select(ChunkRow.id)
                .where(mine, ChunkRow.version == upload.version)
                .order_by(ChunkRow.ordinal)
            )
        )
        move_questions(session, {was: new[now] for was, now in kept.moved.items()})
        old_sha256 = document.sha256
        document.name = document.live_name = upload.name
        document.title = parsed.title[:500]
        if not document.language_is_set:
            document.language = guess_language(parsed.text)
        document.n_words = count_words(parsed.text)
        document.status, document.error = DocumentStatus.READY, None
        document.version, document.n_chunks = upload.version, len(new)
        document.size_bytes, document.sha256 = upload.size_bytes, upload.sha256
        document.updated_at = datetime.now(UTC)
        session.execute(delete(ChunkRow).where(mine, ChunkRow.version < upload.version))
        drop_staged(session, document)
        record(session, document, intake)
        record_changes(session, old, "remove")
        record_changes(session, new, "add")
        if session.scalar(select(ChunkRow.id).where(mine, ChunkRow.parts_due).limit(1)):
            add_job(session, SENTENCES, {}, document_id=DocumentId(document.id))
        if old_sha256 != upload.sha256:
            UploadFolder(run.options.uploads_dir).discard_unused(session, old_sha256)
    logger.info("document %s is ready, %d chunks", run.claim.job.document_id, len(new))


def count_words(text: str) -> int:
    """Returns how many words a text has; a Chinese character counts as one."""
    return len(_HAN.findall(text)) + len(_WORD.findall(text))


def guess_language(text: str) -> str | None:
    """Returns `zh` or `en`, whichever the text has more of, or None for neither."""
    n_han, n_words = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    if n_han == n_words == 0:
        return None
    return "zh" if n_han > n_words else "en"
