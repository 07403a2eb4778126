"""The FAQ template as a file to fill in."""

from typing import Literal

from fastapi import APIRouter, Response

from knowledge.faq_template import template
from web.dependencies import DocumentReader

router = APIRouter(prefix="/faq", tags=["documents"])

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@router.get("/template.{kind}", response_class=Response)
def faq_template(
    kind: Literal["csv", "xlsx"], user: DocumentReader, lang: Literal["zh", "en"] = "en"
) -> Response:
    """Returns the empty template with the headers of a language."""
    disposition = f'attachment; filename="kefu-faq-{lang}.{kind}"'
    return Response(
        template(kind, lang),
        media_type=_TYPES[kind],
        headers={"Content-Disposition": disposition},
    )
