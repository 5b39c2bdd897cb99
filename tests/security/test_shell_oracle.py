"""What a shell command is judged to run, against what bash runs when it is given it.

bash finds no program at all here: whatever it would run, it tells to a handler, which notes it. The judgement is right
if rules that allow ``c1`` alone never let through what makes bash run something else.
"""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimocode.tools.shell import judge
from mimocode.turn.rules import matches
from support.programs import plain_environment

BASH = Path("/bin/bash")
pytestmark = pytest.mark.skipif(not BASH.exists(), reason="there is no /bin/bash to ask what it runs")

NOTING = """
command_not_found_handle() { printf '%s\\0' "$1" >> "$NOTED"; return "${#1}"; }
export -f command_not_found_handle
"""
ALLOWED = ("c1", "c1 *")


def ran(text: str, scratch: Path) -> set[str]:
    """The programs that bash would have run for it."""
    noted = scratch / "noted"
    noted.write_bytes(b"")
    place = scratch / "place"
    place.mkdir(exist_ok=True)
    env = {**plain_environment(scratch), "PATH": "/nowhere", "NOTED": str(noted), "FUNCNEST": "4"}
    with subprocess.Popen(
        [BASH, "--norc", "-c", f'{NOTING}\neval "$1"\nwait', "bash", text],
        cwd=place,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
    return {name.decode(errors="replace") for name in noted.read_bytes().split(b"\0") if name}


def let_through(text: str, directory: Path) -> bool:
    """Whether rules that allow c1, and nothing else, let this run without asking."""
    return all(any(matches(pattern, rule) for rule in ALLOWED) for pattern in judge(text, directory).patterns)


names = st.sampled_from(
    [*["c1"] * 6, "c2", "'c2'", '"c2"', "c\\2", "c''2", '"c"2', "$'c2'", "\\c2", "$x", "${x}", "x=c2 c1"]
)
plain = st.sampled_from(
    ["a", "-f", "'a b'", '"a"', "*.py", "$x", "${x}", "~", "a=b", "\\;", "#", "'#'", "--", "{a,b}", "\\\n"]
)


def _joined(*pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*pieces).map("".join)


def _of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    within = st.sampled_from(
        [
            "$(@)",
            "`@`",
            '"$(@)"',
            '"`@`"',
            "<(@)",
            "${y:-$(@)}",
            '"${y:-`@`}"',
            "$((`@`+1))",
            "a$(@)b",
            "'$(@)'",
            "\\$(@)",
            "${y/$(@)/b}",
            "$(\n@\n)",
            '"a\\"$(@)"',
            "${y:=$(@)}",
            "${y:$(@)}",
            "$[`@`]",
            "${!y}$(@)",
            "${a[$(@)]}",
        ]
    )
    around = st.sampled_from(
        [
            "( @ )",
            "{ @; }",
            "if @; then @; fi",
            "while @; do @; break; done",
            "for i in a b; do @; done",
            "for i in $(@); do c1; done",
            "case a in a) @;; esac",
            "case $(@) in *) c1;; esac",
            "! @",
            "time @",
            "[[ -n $(@) ]] && c1",
            "f() { @; }; f",
            "function f { @; }; f",
            "@ &",
            "coproc @",
            "(( 1 + $(@) ))",
            "a=($(@))",
            "a=$(@)",
            "export a=$(@)",
            "declare a=`@`",
            "local a=$(@)",
            "c1 <<< $(@)",
            "c1 << E\n$(@)\nE\n",
            "c1 << 'E'\n$(@)\nE\n",
            "c1 <<-E\n`@`\n\tE\n",
            "c1 > >(@)",
            "c1 2>&1 | @",
            "c1 |& @",
            "eval '@'",
            "eval @",
            "c1 # @",
            "c1 \\\n@",
            "select i in a; do @; done < /dev/null",
            "for ((i=0; i<1; i++)); do @; done",
            "until @; do break; done",
            "@ || @",
            "@ && @",
            "@; @",
            "@\n@",
            "@ | @",
            "trap '@' EXIT",
            "command @",
            "builtin @",
            "exec @",
            ". <(echo '@')",
            "source /dev/stdin <<< '@'",
            "test $(@)",
            "[ -n `@` ]",
            "echo $(@)",
            "read x <<< c2; $x",
            "x=c2; $x",
            "c1 {a,$(@)}",
            "printf -v y %s $(@)",
            "let a=$(@)",
            "a[$(@)]=1",
            "unset a[$(@)]",
            "alias c1=c2; c1",
            "c1() { c2; }; c1",
            "if c1; then c1; elif @; then c1; else @; fi",
            "case c in (b|c) @ ;& d) @ ;; esac",
            "$(@)",
            "{ @\n} > f",
            "cd $(@)",
            "c1 $(( ${y:-0} ))",
            ": $(@)",
            "hash c2; @",
        ]
    )

    def fill(shape: str, one: str, other: str) -> str:
        return shape.replace("@", one, 1).replace("@", other)

    words = _joined(names, st.just(" "), st.builds(fill, within, inner, inner))
    return st.builds(fill, around, inner, inner) | words


def _command(name: str, words: list[str]) -> str:
    return " ".join([name, *words])


commands = st.recursive(st.builds(_command, names, st.lists(plain, max_size=2)), _of, max_leaves=4)
scrambled = st.lists(
    st.sampled_from(
        [
            "c1",
            "c2",
            "c1 ",
            " ",
            "\n",
            ";",
            "&",
            "&&",
            "|",
            "||",
            "(",
            ")",
            "{",
            "}",
            "$(",
            "`",
            "'",
            '"',
            "$",
            "\\",
            "#",
            "<<E",
            "E\n",
            "<",
            "<(",
            "=",
            "x=",
            "((",
            "))",
            "[[",
            "]]",
            "[",
            "]",
            "!",
            "if ",
            "then ",
            "fi",
            "do ",
            "done",
            "for i in ",
            "case ",
            "in ",
            "esac",
            ";;",
            "${",
            ":-",
            "-",
            "*",
            "\r",
            "\t",
            "\x0b",
            "é",
        ]
    ),
    min_size=1,
    max_size=14,
).map("".join)


@settings(
    max_examples=400,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(commands | scrambled)
@example('c1 "${y:-`c2`}"')
@example("c1 <<E\n`c2`\nE\n")
@example("c1 <<-E\n\t$(c2)\n\tE\n")
@example("c1 `c1 \\`c2\\``")
@example("c1 $(c1 ${y:-$(c2)})")
@example("\x0bc1")
@example("c1\r\nc1\r\n")
def test_rules_for_one_command_never_let_bash_run_another(tmp_path: Path, text: str) -> None:
    if let_through(text, tmp_path):
        assert ran(text, tmp_path) <= {"c1"}, text


@pytest.mark.parametrize(
    "text", ["c1", "c1 -f 'a b'", 'c1 "$(c1)" | c1 && (c1)', "c1 <<'E'\n`c2`\nE\n", "c1 '$(c2)' \\`", "c1 \\\n a # c2"]
)
def test_what_is_harmless_is_let_through_and_is_run(tmp_path: Path, text: str) -> None:
    """So that the property above is not one of a judgement that always asks."""
    assert let_through(text, tmp_path)
    assert ran(text, tmp_path) == {"c1"}
