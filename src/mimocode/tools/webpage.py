"""HTML made readable."""

from typing import Literal

_UNREAD = ("script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "link", "meta")


def readable(html: bytes, charset: str | None, form: Literal["text", "markdown"]) -> str:
    """The page's text, plain or as Markdown; without a charset the page itself is asked for it.

    Slow for large pages: not for the event loop.
    """
    from bs4 import BeautifulSoup

    page = BeautifulSoup(html, "html.parser", from_encoding=charset)
    for element in page.find_all(_UNREAD):
        element.decompose()
    if form == "text":
        return _tidy(page.get_text("\n"))
    from markdownify import MarkdownConverter

    try:
        return _tidy(MarkdownConverter(heading_style="ATX", bullets="-").convert_soup(page))
    except RecursionError:  # nested deeper than the converter can follow
        return _tidy(page.get_text("\n"))


def _tidy(text: str) -> str:
    """Without blanks at the ends of lines, and at most one empty line in a row."""
    lines: list[str] = []
    for line in text.split("\n"):
        bare = line.rstrip()
        if bare or (lines and lines[-1]):
            lines.append(bare)
    return "\n".join(lines).strip()
