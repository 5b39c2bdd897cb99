"""What kind of file this is, from its first bytes; and the kinds a model may be shown as they are."""

import base64
import io
import logging
from dataclasses import dataclass

from mimocode.turn.ports import Attachment

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_PDF_BYTES = 20 * 1024 * 1024
SNIFFED = 8 * 1024
"""Bytes that `kind_of` wants to see."""
_MAX_PDF_TEXT = 2_000_000
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\b\x1b")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def kind_of(head: bytes) -> str:
    """A MIME type: of an image, a PDF, ``text/plain``, or ``application/octet-stream`` for any other binary."""
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if b"\0" in head:
        return "application/octet-stream"
    odd = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in head)
    return "application/octet-stream" if odd * 10 > len(head) * 3 else "text/plain"


def attachment(data: bytes, mime: str, filename: str | None = None) -> Attachment:
    return Attachment(mime=mime, url=f"data:{mime};base64,{base64.b64encode(data).decode()}", filename=filename)


@dataclass(frozen=True, slots=True)
class PdfText:
    """`text` is empty when there is none to be had; `problem` then says why."""

    pages: int
    text: str
    problem: str | None = None


def pdf_text(data: bytes) -> PdfText:
    """The text of a PDF, page by page. Slow: not for the event loop."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    parts: list[str] = []
    pages = 0
    size = 0
    try:
        reader = PdfReader(io.BytesIO(data))
        pages = len(reader.pages)
        for number, page in enumerate(reader.pages, 1):
            if size > _MAX_PDF_TEXT:
                break
            text = page.extract_text().strip()
            size += len(text)
            parts.append(f"[page {number}]\n{text}" if text else f"[page {number}: no text]")
    except (PyPdfError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        # What a damaged file makes of the parser is not confined to the parser's own errors.
        return PdfText(pages, "\n".join(parts), problem=f"{type(error).__name__}: {error}")
    return PdfText(pages, "\n".join(parts))
