"""A program that uses opencode's own Python client: python pypi_chat.py URL. Prints one JSON object of what it saw."""

import importlib
import json
import sys
from typing import Any


def main(url: str) -> dict[str, Any]:
    client: Any = importlib.import_module("opencode_ai").Opencode(base_url=url)
    session = client.session.create(extra_body={})
    stream = client.event.list()
    events = iter(stream)
    first = next(events)
    answer = client.session.chat(
        session.id, model_id="scripted", provider_id="lab", parts=[{"type": "text", "text": "hello python"}]
    )
    seen: list[str] = [first.type]
    while seen[-1] != "session.idle":
        seen.append(next(events).type)
    stream.close()
    listed = client.session.messages(session.id)
    return {
        "answer": answer.model_dump(mode="json"),
        "roles": [message.info.role for message in listed],
        "events": seen,
        "providers": [provider.id for provider in client.app.providers().providers],
        "sessions": [found.id for found in client.session.list()],
        "aborted": client.session.abort(session.id),
        "deleted": client.session.delete(session.id),
        "session": session.id,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
