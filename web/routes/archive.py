"""The whole knowledge base as one file: download it, bring it back."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from bot import audit
from web.dependencies import DocumentWriter, ServicesDep
from web.schemas import ArchiveRestored

router = APIRouter(prefix="/archive", tags=["documents"])


@router.get("", response_class=FileResponse)
def export(user: DocumentWriter, services: ServicesDep) -> FileResponse:
    """Returns the whole knowledge base as one file."""
    folder = Path(tempfile.mkdtemp(prefix="export-", dir=services.settings.data_dir))
    try:
        services.archive.export(folder / "knowledge.zip")
    except BaseException:
        shutil.rmtree(folder)
        raise
    audit.record(services.engine, user.name, action="knowledge.export")
    return FileResponse(
        folder / "knowledge.zip",
        media_type="application/zip",
        filename=f"kefu-knowledge-{datetime.now(UTC):%Y%m%d-%H%M}.zip",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(shutil.rmtree, folder),
    )


@router.post("")
def restore(
    file: Annotated[UploadFile, File()],
    user: DocumentWriter,
    services: ServicesDep,
    replace: Annotated[bool, Form()] = False,
) -> ArchiveRestored:
    """Restores an exported file; with `replace` it takes the place of what is here."""
    with tempfile.NamedTemporaryFile(prefix="import-", dir=services.settings.data_dir) as received:
        shutil.copyfileobj(file.file, received)
        received.flush()
        manifest = services.restore_knowledge(Path(received.name), replace=replace)
    audit.record(services.engine, user.name, action="knowledge.import")
    return ArchiveRestored(documents=manifest.n_documents)
