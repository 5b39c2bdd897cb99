"""Sharing without anybody's server: a session written to a file of this machine, which its owner may hand on."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from mimocode.errors import Invalid, Unavailable
from mimocode.wire.message import WithParts
from mimocode.wire.session import Session, Share

from .instance import Instances
from .sessions import Sessions


@dataclass(frozen=True, slots=True)
class Shares:
    """Sessions as files in `folder`, each named by its session: ``{"info": …, "messages": […]}``."""

    sessions: Sessions
    instances: Instances
    folder: Path

    async def share(self, session_id: str) -> Session:
        """Writes the session as it is now, again if it was shared before; its `share.url` then names the file.

        Raises `NotFound`, `Invalid` where sharing is switched off, `Unavailable` when the file cannot be written.
        """
        session = await self.sessions.get(session_id)
        instance = await self.instances.get(session.directory)
        if instance.public_config.get("share") == "disabled":
            raise Invalid('Sharing is switched off: the configuration says `"share": "disabled"`. Change it there.')
        file = self._file(session_id)
        shared = await self.sessions.change(
            session_id, lambda now: now.but(share=Share(url=file.as_uri())), durable=True
        )
        messages = await self.sessions.messages(session_id)
        try:
            await to_thread.run_sync(_write, file, shared, messages)
        except OSError as error:
            await self.sessions.change(session_id, lambda now: now.but(share=session.share), durable=True)
            raise Unavailable(f"The session cannot be written to {file}: {error.strerror}.") from error
        return shared

    async def unshare(self, session_id: str) -> Session:
        """Removes the file. A session that is not shared is no error. Raises `NotFound`."""
        private = await self.sessions.change(session_id, lambda now: now.but(share=None), durable=True)
        await self.forget([session_id])
        return private

    async def forget(self, session_ids: Sequence[str]) -> None:
        """Removes the files of sessions that are gone."""
        for session_id in session_ids:
            await to_thread.run_sync(_remove, self._file(session_id))

    def _file(self, session_id: str) -> Path:
        return self.folder / f"{session_id}.json"


def _write(file: Path, session: Session, messages: Sequence[WithParts]) -> None:
    told = {"info": session.plain(), "messages": [message.plain() for message in messages]}
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_suffix(".tmp")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(json.dumps(told, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
    fresh.replace(file)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
