"""Those who answer what is asked: late, two at a time, with a no, and once more in every life that asks again."""

from random import Random

import anyio
from anyio.abc import TaskGroup

from mimocode.wire.base import JsonObject

from .life import Lives
from .line import Line
from .seen import Reply, Seen


class People:
    """Answers in `group`."""

    def __init__(self, lives: Lives, seen: Seen, seed: str, line: Line, group: TaskGroup) -> None:
        self._lives = lives
        self._seen = seen
        self._seed = seed
        self._line = line
        self._group = group

    def asked(self, kind: str, told: JsonObject, life: int) -> None:
        """An ask was told in that life."""
        self._group.start_soon(self._answer, kind, told, life)
        self._lives.note("asked")

    async def _answer(self, kind: str, told: JsonObject, life: int) -> None:
        ask = told["id"]
        about = told["questions"][0]["question"] if kind == "question" else told["metadata"].get("command", kind)
        chance = Random(f"{self._seed}:answer:{about}:{life}")
        self._seen.asks[ask] = told
        for reply in self._seen.replies:
            if reply.ask == ask and reply.status == 200 and reply.life < life:
                self._seen.wrong.append(f"{ask} was asked again in life {life}, acknowledged in life {reply.life}")
        await anyio.sleep(chance.choice([0, 0, 0.05, 0.3]))
        async with anyio.create_task_group() as group:
            for rival in range(chance.choice([1, 1, 2])):
                if kind == "question":
                    answer = "dismiss" if chance.random() < 0.1 else f"a{life}r{rival}"
                else:
                    answer = chance.choice(["once", "once", "once", "reject", "stop"])
                group.start_soon(self._reply, Reply(ask, kind, answer, life))

    async def _reply(self, reply: Reply) -> None:
        self._seen.replies.append(reply)
        self._lives.note("replying")
        way, body = "reply", {}
        match reply.kind, reply.answer:
            case "question", "dismiss":
                way = "reject"
            case "question", words:
                body = {"answers": [[words]]}
            case _, "reject":
                body = {"reply": "reject", "message": "not this"}
            case _, "stop":
                body = {"reply": "reject"}
            case _, answer:
                body = {"reply": answer}
        answer = await self._line.send("POST", f"/{reply.kind}/{reply.ask}/{way}", body)
        if answer is not None:
            reply.status, reply.life = answer.status_code, self._lives.number
