"""Permissions: rules first, then what was allowed for good, then the human."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from mimocode.asgi.group import task_group
from mimocode.errors import NotFound, Rejected, ToolFailed
from mimocode.turn.ports import Call, Need
from mimocode.wire import event
from mimocode.wire.ask import Action, PermissionReply, Rule
from support.desk import Desk, call, opened

ONCE, ALWAYS, REJECT = (PermissionReply(reply=reply) for reply in ("once", "always", "reject"))


def need(*patterns: str, permission: str = "bash", always: Sequence[str] = ()) -> Need:
    return Need(permission=permission, patterns=patterns or ("ls",), always=always or patterns or ("ls",))


def rule(permission: str, pattern: str, action: Action) -> Rule:
    return Rule(permission=permission, pattern=pattern, action=action)


class Wanting:
    """A call that wants permissions, and what it got: ``allowed`` or why not."""

    def __init__(self, desk: Desk, *needs: Need, rules: Sequence[Rule] = (), by: Call | None = None) -> None:
        self._desk = desk
        self._needs = needs
        self._rules = rules
        self._by = by or call()
        self.got = "waiting"
        self.feedback: bool | None = None

    async def permit(self) -> None:
        try:
            await self._desk.human(*self._rules).permit(self._by, self._needs)
        except (Rejected, ToolFailed) as error:
            self.got, self.feedback = str(error), getattr(error, "feedback", None)
        else:
            self.got = "allowed"


async def unasked(desk: Desk, wanting: Wanting) -> str:
    with anyio.fail_after(5):
        await wanting.permit()
    assert desk.bus.of(event.PermissionAsked) == []
    return wanting.got


async def answered(desk: Desk, wanting: Wanting, reply: PermissionReply) -> Wanting:
    async with task_group() as group:
        group.start_soon(wanting.permit)
        await desk.bus.until(event.PermissionAsked, len(desk.bus.of(event.PermissionReplied)) + 1)
        [ask_id] = await desk.pending()
        await desk.permissions.reply(ask_id, reply)
    return wanting


@pytest.mark.parametrize(
    ("rules", "patterns"),
    [
        ([rule("*", "*", "allow")], ("rm -rf /",)),
        ([rule("bash", "*", "deny"), rule("bash", "ls *", "allow")], ("ls", "ls -l")),
    ],
)
async def test_what_the_rules_allow_is_not_asked(desk: Desk, rules: list[Rule], patterns: tuple[str, ...]) -> None:
    assert await unasked(desk, Wanting(desk, need(*patterns), rules=rules)) == "allowed"


async def test_what_the_rules_deny_is_refused_with_the_rules_that_speak_of_it(desk: Desk) -> None:
    rules = [rule("*", "*", "allow"), rule("edit", "*", "ask"), rule("bash", "rm *", "deny")]

    got = await unasked(desk, Wanting(desk, need("ls", "rm -rf /"), rules=rules))

    assert got.startswith("The user has specified a rule which prevents you from using this specific tool call.")
    assert "'rm *'" in got
    assert "'*'" in got
    assert "edit" not in got


async def test_a_denied_pattern_beside_one_to_ask_for_asks_nobody(desk: Desk) -> None:
    rules = [rule("bash", "*", "ask"), rule("bash", "rm *", "deny")]

    assert "rm *" in await unasked(desk, Wanting(desk, need("git push", "rm x"), rules=rules))


async def test_what_no_rule_speaks_of_is_asked_with_all_that_a_dialog_draws(desk: Desk) -> None:
    wanted = Need(permission="bash", patterns=["git push"], always=["git *"], metadata={"command": "git push"})

    wanting = await answered(desk, Wanting(desk, wanted), ONCE)

    [asked] = desk.bus.of(event.PermissionAsked)
    assert isinstance(asked, event.PermissionAsked)
    assert wanting.got == "allowed"
    assert asked.plain() == {
        "id": asked.id,
        "sessionID": "ses_1",
        "permission": "bash",
        "patterns": ["git push"],
        "metadata": {"command": "git push"},
        "always": ["git *"],
        "tool": {"messageID": "msg_step", "callID": "call_prt_1"},
    }
    assert desk.bus.of(event.PermissionReplied) == [
        event.PermissionReplied(sessionID="ses_1", requestID=asked.id, reply="once")
    ]


async def test_once_is_for_this_call_only(desk: Desk) -> None:
    await answered(desk, Wanting(desk, need()), ONCE)

    again = await answered(desk, Wanting(desk, need(), by=call("prt_2")), REJECT)

    assert again.got.startswith("The user rejected permission")


async def test_each_need_is_asked_for_in_order_and_a_refusal_ends_the_asking(desk: Desk) -> None:
    wanting = Wanting(desk, need(permission="external_directory"), need(permission="edit"), need(permission="bash"))
    asked: list[str] = []

    async with task_group() as group:
        group.start_soon(wanting.permit)
        for count, reply in enumerate((ONCE, REJECT), 1):
            await desk.bus.until(event.PermissionAsked, count)
            [request] = await desk.asks.permissions()
            asked.append(request.permission)
            await desk.permissions.reply(request.id, reply)

    assert asked == ["external_directory", "edit"]
    assert wanting.got == "The user rejected permission to use this specific tool call."


async def test_a_refusal_without_a_word_ends_the_turn_and_one_with_a_message_does_not(desk: Desk) -> None:
    silent = await answered(desk, Wanting(desk, need()), REJECT)

    told = await answered(
        desk, Wanting(desk, need(), by=call("prt_2")), PermissionReply(reply="reject", message="use make")
    )

    assert (silent.feedback, told.feedback) == (False, True)
    assert told.got.endswith("with the following feedback: use make")


async def test_always_outlives_the_process_and_holds_in_other_sessions_of_the_project(tmp_path: Path) -> None:
    path = tmp_path / "mimocode.db"
    async with opened(path) as desk:
        await answered(desk, Wanting(desk, need("git push", always=["git *"])), ALWAYS)

    async with opened(path) as desk:
        by = call("prt_9", session_id="ses_2")
        got = await unasked(desk, Wanting(desk, need("git pull", "git fetch"), by=by))
        other = await answered(desk, Wanting(desk, need("make"), by=call("prt_8")), REJECT)

    assert got == "allowed"
    assert other.got.startswith("The user rejected")


async def test_always_does_not_hold_for_another_agent_nor_against_a_rule_that_denies(desk: Desk) -> None:
    await answered(desk, Wanting(desk, need("git push", always=["git *"])), ALWAYS)

    planning = await answered(desk, Wanting(desk, need("git pull"), by=call("prt_2", agent="plan")), REJECT)
    denied = Wanting(desk, need("git pull"), rules=[rule("bash", "git pull", "deny")], by=call("prt_3"))
    await denied.permit()

    assert planning.got.startswith("The user rejected")
    assert denied.got.startswith("The user has specified a rule")


async def test_always_releases_the_other_asks_that_it_covers_and_no_more(desk: Desk) -> None:
    first = Wanting(desk, need("git push", always=["git *"]))
    covered = Wanting(desk, need("git pull"), by=call("prt_2"))
    other = Wanting(desk, need("make"), by=call("prt_3"))
    foreign = Wanting(desk, need("git pull"), by=call("prt_4", session_id="ses_2"))
    async with task_group() as group:
        for count, wanting in enumerate((first, covered, other, foreign), 1):
            group.start_soon(wanting.permit)
            await desk.bus.until(event.PermissionAsked, count)
        pending = await desk.asks.permissions()

        await desk.permissions.reply(pending[0].id, ALWAYS)
        await desk.bus.until(event.PermissionReplied, 2)

        left = await desk.asks.permissions()
        for request in left:
            await desk.permissions.reply(request.id, REJECT)
    replied = [body.plain()["reply"] for body in desk.bus.of(event.PermissionReplied)]
    assert [request.patterns for request in left] == [["make"], ["git pull"]]
    assert (first.got, covered.got) == ("allowed", "allowed")
    assert replied == ["always", "once", "reject", "reject"]


async def test_always_is_remembered_before_who_waits_goes_on(desk: Desk) -> None:
    wanting = Wanting(desk, need("git push", always=["git *"]))
    approved: list[str] = []

    async def permit() -> None:
        await wanting.permit()
        approved.extend(rule.pattern for rule in await desk.queries.approvals("prj", "build"))

    async with task_group() as group:
        group.start_soon(permit)
        await desk.bus.until(event.PermissionAsked)
        [ask_id] = await desk.pending()
        await desk.permissions.reply(ask_id, ALWAYS)

    assert approved == ["git *"]


async def test_a_refusal_refuses_the_sessions_other_asks_and_leaves_other_sessions_and_questions(desk: Desk) -> None:
    first = Wanting(desk, need("git push"))
    second = Wanting(desk, need("make"), by=call("prt_2"))
    foreign = Wanting(desk, need("make"), by=call("prt_3", session_id="ses_2"))
    async with task_group() as group:
        for count, wanting in enumerate((first, second, foreign), 1):
            group.start_soon(wanting.permit)
            await desk.bus.until(event.PermissionAsked, count)
        pending = await desk.asks.permissions()

        await desk.permissions.reply(pending[0].id, REJECT)

        left = await desk.asks.permissions()
        await desk.permissions.reply(left[0].id, ONCE)
    assert [request.sessionID for request in left] == ["ses_2"]
    assert [one.got for one in (first, second, foreign)] == [
        "The user rejected permission to use this specific tool call.",
        "The user rejected permission to use this specific tool call.",
        "allowed",
    ]


async def test_a_call_that_asked_before_a_restart_finds_the_answer_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "mimocode.db"
    async with opened(path) as desk, task_group() as group:
        group.start_soon(Wanting(desk, need("git push")).permit)
        await desk.bus.until(event.PermissionAsked)
        group.cancel_scope.cancel()

    async with opened(path) as desk:
        [ask_id] = await desk.pending()
        await desk.permissions.reply(ask_id, ONCE)
        got = await unasked(desk, Wanting(desk, need("git push")))

    assert got == "allowed"


async def test_the_second_answer_finds_nothing(desk: Desk) -> None:
    await answered(desk, Wanting(desk, need()), ONCE)
    [asked] = desk.bus.of(event.PermissionAsked)
    assert isinstance(asked, event.PermissionAsked)

    with pytest.raises(NotFound, match="answered before"):
        await desk.permissions.reply(asked.id, REJECT)


async def test_a_call_that_needs_nothing_asks_nobody(desk: Desk) -> None:
    assert await unasked(desk, Wanting(desk)) == "allowed"
