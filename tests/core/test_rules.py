"""Permission rules: wildcards, the last match, what configurations mean, which tools are not offered."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mimocode.errors import ConfigError
from mimocode.turn.rules import disabled, evaluate, from_config, matches, relevant, tools_as_rules
from mimocode.wire.ask import Action, Rule

HOME = Path("/home/ada")


def rule(permission: str, pattern: str, action: Action) -> Rule:
    return Rule(permission=permission, pattern=pattern, action=action)


def naive(text: str, pattern: str) -> bool:
    """What the wildcards mean, without a thought to speed."""
    wanted = re.escape(pattern.replace("\\", "/")).replace(r"\*", ".*").replace(r"\?", ".")
    if pattern.endswith(" *"):
        wanted = wanted.removesuffix(r"\ .*") + "( .*)?"
    return re.fullmatch(wanted, text.replace("\\", "/"), re.DOTALL) is not None


@settings(deadline=None, database=None, max_examples=500)
@given(text=st.text("ab /\\\n", max_size=12), pattern=st.text("ab /\\\n*?", max_size=8))
@example(text="ls", pattern="ls *")
@example(text="ls  ", pattern="ls *")
@example(text="", pattern="*")
@example(text="", pattern=" *")
@example(text="ab", pattern="* *")
@example(text="aab", pattern="*a?b")
@example(text="a\\b", pattern="a/?")
def test_wildcards_mean_what_the_naive_reading_means(text: str, pattern: str) -> None:
    assert naive(text, pattern) == matches(text, pattern)


@settings(deadline=None, database=None)
@given(pieces=st.lists(st.text("ab*", min_size=1, max_size=3), min_size=1, max_size=6), rest=st.text("ab", max_size=8))
def test_a_pattern_covers_whatever_its_stars_are_filled_with(pieces: list[str], rest: str) -> None:
    assert matches("".join(pieces).replace("*", rest), "".join(pieces))


@pytest.mark.parametrize(
    ("text", "pattern", "covered"),
    [
        ("git status", "git *", True),
        ("git", "git *", True),
        ("gitk", "git *", False),
        ("src/deep/file.py", "src/*.py", True),
        ("first\nsecond", "first*", True),
        ("file.env", "*.env", True),
        ("file.environment", "*.env", False),
        ("a.b", "a?b", True),
        ("a+b", "a.b", False),
        ("[x]", "[x]", True),
        ("x", "[x]", False),
        ("C:\\work\\a.txt", "C:/work/*", True),
        ("anything at all", "*", True),
        ("", "?", False),
    ],
)
def test_wildcards_by_example(text: str, pattern: str, covered: bool) -> None:
    assert covered == matches(text, pattern)


def test_letters_match_by_case() -> None:
    assert not matches("LS", "ls")


@pytest.mark.timeout(30)  # the naive reading needs ages
def test_many_stars_do_not_take_for_ever() -> None:
    assert not matches("a" * 50_000, "*a" * 25 + "b")


def test_the_last_matching_rule_wins_over_all_rulesets() -> None:
    defaults = [rule("*", "*", "allow"), rule("bash", "*", "ask")]
    user = [rule("bash", "rm *", "deny"), rule("bash", "rm -i *", "allow")]

    decided = [
        evaluate("bash", command, defaults, user).action for command in ("ls", "rm x", "rm -i x", "rm -i x && ls")
    ]

    assert decided == ["ask", "deny", "allow", "allow"]


def test_a_later_ruleset_overrides_an_earlier_one() -> None:
    deny, allow = [rule("edit", "*", "deny")], [rule("edit", "docs/*", "allow")]

    assert [
        evaluate("edit", "docs/a.md", deny, allow).action,
        evaluate("edit", "docs/a.md", allow, deny).action,
    ] == ["allow", "deny"]


def test_a_rule_for_any_permission_is_overridden_by_a_later_one_for_some() -> None:
    ruleset = [rule("*", "*", "deny"), rule("mcp_*", "*", "ask"), rule("read", "*.md", "allow")]

    decided = [evaluate(*asked, ruleset).action for asked in (("read", "a.md"), ("read", "a.py"), ("mcp_x", "y"))]

    assert decided == ["allow", "deny", "ask"]


def test_what_no_rule_covers_is_asked() -> None:
    assert rule("bash", "*", "ask") == evaluate("bash", "ls", [rule("bash", "rm *", "deny")], [])


def test_the_rules_that_speak_of_a_permission_are_found_in_their_order() -> None:
    everything, other, own = rule("*", "*", "allow"), rule("read", "*", "ask"), rule("bash", "rm *", "deny")

    assert [everything, own] == relevant("bash", [everything, other], [own])


def test_one_action_is_for_everything() -> None:
    assert [rule("*", "*", "allow")] == from_config("allow", HOME)


def test_actions_and_patterns_mix_and_keep_their_order() -> None:
    found = from_config({"edit": "ask", "bash": {"*": "ask", "git *": "allow"}, "webfetch": "deny"}, HOME)

    expected = [
        rule("edit", "*", "ask"),
        rule("bash", "*", "ask"),
        rule("bash", "git *", "allow"),
        rule("webfetch", "*", "deny"),
    ]
    assert expected == found


def test_tools_with_wildcards_count_as_written_first() -> None:
    found = from_config({"bash": "ask", "*": "allow"}, HOME)

    assert [rule("*", "*", "allow"), rule("bash", "*", "ask")] == found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "/home/ada"),
        ("~/notes/*", "/home/ada/notes/*"),
        ("$HOME", "/home/ada"),
        ("$HOME/notes/*", "/home/ada/notes/*"),
        ("a/~/b", "a/~/b"),
        ("~bob/x", "~bob/x"),
        ("$HOMEWORK/x", "$HOMEWORK/x"),
    ],
)
def test_the_home_is_expanded_at_a_patterns_start(written: str, meant: str) -> None:
    assert [rule("read", meant, "deny")] == from_config({"read": {written: "deny"}}, HOME)


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ("maybe", "permission: expected one of allow, deny, ask, found 'maybe'."),
        ({"bash": "yes"}, "permission.bash: expected one of allow, deny, ask, found 'yes'."),
        ({"bash": {"rm *": None}}, "permission.bash.rm *: expected one of allow, deny, ask, found None."),
        (
            {"bash": ["rm"]},
            "permission.bash: expected one of allow, deny, ask, or an object of patterns and these, found ['rm'].",
        ),
        (3, "permission: expected one of allow, deny, ask, or an object of patterns and these, found 3."),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(permission: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_config(permission, HOME)

    assert said == str(caught.value)


TOOLS = ("bash", "read", "write", "edit", "apply_patch", "question")


@pytest.mark.parametrize(
    ("ruleset", "hidden"),
    [
        ([], set[str]()),
        ([rule("*", "*", "allow")], set[str]()),
        ([rule("bash", "*", "deny")], {"bash"}),
        ([rule("bash", "*", "deny"), rule("question", "*", "deny")], {"bash", "question"}),
        ([rule("edit", "*", "deny")], {"write", "edit", "apply_patch"}),
        ([rule("edit", "*", "deny"), rule("write", "*", "allow")], {"edit", "apply_patch"}),
        ([rule("write", "*", "deny")], {"write"}),
        ([rule("edit", "*", "deny"), rule("edit", "docs/*", "allow")], set[str]()),
        ([rule("bash", "*", "ask")], set[str]()),
        ([rule("bash", "rm *", "deny")], set[str]()),
        ([rule("bash", "*", "deny"), rule("bash", "ls *", "allow")], set[str]()),
        ([rule("bash", "*", "deny"), rule("*", "*", "allow")], set[str]()),
        ([rule("*", "*", "deny")], set(TOOLS)),
        ([rule("*", "*", "deny"), rule("read", "*", "allow")], set(TOOLS) - {"read"}),
    ],
)
def test_tools_that_would_always_be_refused_are_not_offered(ruleset: list[Rule], hidden: set[str]) -> None:
    assert hidden == disabled(TOOLS, ruleset)


def test_the_tools_map_of_a_prompt_becomes_rules() -> None:
    expected = [rule("question", "*", "deny"), rule("edit", "*", "deny"), rule("bash", "*", "allow")]

    assert expected == tools_as_rules({"question": False, "write": False, "bash": True})
