"""The model of the recordings: it obeys directives in the prompt, so that a recorded prompt can be sent again.

`[[tool NAME {json}]]` calls a tool (one a step, in order), `[[think TEXT]]` reasons first, `[[slow N]]` streams N slow
pieces, `[[hang]]` says one word and then nothing, `[[fail]]` is refused with 400. Without any it says hello.
"""

import json
import re

from mimocode.llm.script import Action, Break, CallTool, Fail, Pace, Say, Step
from support.model_server import Received

TITLE = "Scripted title"
HELLO = "Hello from the scripted model. "
_DIRECTIVE = re.compile(r"\[\[(tool|think|slow|fail|hang)\b ?(.*?)\]\](?!\])", re.DOTALL)


def obey(request: Received) -> Step:
    """What the model does for a request."""
    if request.purpose == "title":
        return Step((Say(TITLE),))
    if request.purpose == "summary":
        return Step((Say("Summary of what was said."),))
    role, text = request.history.turns[-1]
    if role == "user" and _DIRECTIVE.search(text):
        return step_for(text, 0, "")  # also where a dismissed question left a tool's result before it
    return step_for(request.history.prompt, request.history.rounds_since_prompt, request.history.result)


def step_for(prompt: str, done: int, result: str) -> Step:
    """The step after `done` of them, for a prompt and the last tool's result."""
    directives = [(found[1], found[2]) for found in _DIRECTIVE.finditer(_unquoted(prompt))]
    actions: list[Action] = [Say(text, thought=True) for kind, text in directives if kind == "think"]
    calls = [text for kind, text in directives if kind == "tool"]
    match next((pair for pair in directives if pair[0] in ("fail", "slow", "hang")), None):
        case ("fail", _):
            return Step((Fail(400, "scripted failure", code="bad"),))
        case ("slow", count):
            return Step((Pace(0.1), Say("slow " * int(count))))
        case ("hang", _):
            return Step((Say("Waiting "), Break("hang")))
        case _ if done < len(calls):
            name, _, arguments = calls[done].partition(" ")
            return Step((*actions, Say(f"Calling {name}."), CallTool(name, arguments, json.loads(arguments))))
        case _:
            said = f"Tool said: {result[:60]}" if calls else ""
            return Step((*actions, Say(HELLO + said)))


def _unquoted(prompt: str) -> str:
    """`opencode run` quotes a message that has spaces, and escapes the quotes in it."""
    quoted = re.fullmatch(r'"(.*)"\s*', prompt, re.DOTALL)
    return quoted[1].replace('\\"', '"') if quoted else prompt
