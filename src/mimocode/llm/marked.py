"""Content that others wrote, between marks that it cannot close, for the model to tell it from the user's words.

The marks are made from the content alone, so that every step of a turn, every restart and every fork sends the same
bytes: a provider's cache keeps them. What they mean is said in `turn/prompts/data.md`.
"""

import re
from hashlib import blake2b
from typing import Final

_SHORTEST: Final = 8
_LONGEST_NAME: Final = 200
_UNFIT: Final = re.compile(r"[^\w ./@+~:(),'#&=%!-]+")


def marked(content: str, source: str) -> str:
    """`source` is the tool or the file that it comes from."""
    code = _code(content)
    return f'<data-{code} from="{named(source)}">\n{content}\n</data-{code}>'


def named(source: str) -> str:
    """A name that others chose, on one line and without anything that could end where it stands."""
    return _UNFIT.sub("_", source)[:_LONGEST_NAME]


def _code(content: str) -> str:
    """Does not occur in the content, so that no mark in it can be the one that ends it."""
    digest = blake2b(content.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
    while (code := digest[:_SHORTEST]) in content:
        digest = blake2b(digest.encode(), digest_size=32).hexdigest()
    return code
