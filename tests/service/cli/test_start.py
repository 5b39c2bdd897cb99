"""The command starts without what it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.programs import plain_environment
from typer.testing import CliRunner

from mimocode.cli.main import app, app_for

HEAVY = ["typer", "pydantic", "httpx", "fastapi", "uvicorn", "prompt_toolkit", "rich.console", "pydantic_ai", "openai"]


def test_the_version_is_told_without_loading_the_rest() -> None:
    code = f"""
import sys
sys.argv = ["mimo", "--version"]
from mimocode.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print([name for name in {HEAVY} if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines()[1:] == ["[]"]


def test_the_command_is_a_module_too() -> None:
    words = [sys.executable, "-m", "mimocode"]

    told = [
        subprocess.run([*words, word], capture_output=True, text=True, check=True, timeout=60).stdout
        for word in ("--version", "--help")
    ]

    assert told[0].split(".")[0].isdigit()
    assert "serve" in told[1]


def test_a_client_that_only_asks_loads_no_server() -> None:
    code = """
import sys
import mimocode.client, mimocode.cli.sessions, mimocode.cli.running
print([name for name in ("fastapi", "uvicorn", "pydantic_ai", "prompt_toolkit", "mimocode.app") if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_a_client_loads_no_command_line_of_its_http_library_and_takes_nothing_from_who_wants_it() -> None:
    code = """
import sys
from mimocode.cli.loading import load_httpx
load_httpx()
import httpx
httpx.Client(verify=False).close()
print([name for name in ("rich", "pygments", "click", "trio") if name in sys.modules])
import click, rich, trio
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_the_document_is_the_same_whether_its_types_were_built_at_the_start_or_for_it() -> None:
    code = """
import hashlib, json, sys
from pydantic import BaseModel
config, rebuild = BaseModel.model_config, vars(BaseModel)["model_rebuild"]
from mimocode.cli.loading import load_fastapi
if sys.argv[1] == "later":
    load_fastapi()
from fastapi.openapi.models import Schema
print(Schema.__pydantic_complete__, BaseModel.model_config is config, vars(BaseModel)["model_rebuild"] is rebuild)
from fastapi import FastAPI
from mimocode.server import http, openapi
api = FastAPI()
api.router.routes += [route for each in http.ROUTES for route in each.router.routes]
print(hashlib.sha256(json.dumps(openapi.document(api)).encode()).hexdigest())
"""

    first, then = (
        subprocess.run(
            [sys.executable, "-c", code, when], capture_output=True, text=True, check=True, timeout=60
        ).stdout.splitlines()
        for when in ("at once", "later")
    )

    assert (first[0], then[0]) == ("True True True", "False True True")
    assert first[1] == then[1]


def test_what_a_program_has_loaded_stays_loaded() -> None:
    code = """
import sys
import click, trio
from mimocode.cli.loading import load_httpx
load_httpx()
print(sys.modules["trio"] is trio, sys.modules["click"] is click)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "True True"


LIBRARIES = ["alembic", "sqlalchemy", "openai", "anthropic", "pydantic_ai", "rich.console", "httpx", "prompt_toolkit"]
LATE = [*LIBRARIES, "mimocode.tools.bash", "mimocode.llm.stream"]


def test_a_server_answers_before_it_loads_what_turns_need_and_looks_for_garbage_only_in_what_comes_later(
    tmp_path: Path,
) -> None:
    code = f"""
import gc, os, signal, sys, threading, time
from mimocode.cli import main
sys.argv = ["mimo", "serve", "--port", "0"]
loaded, freeze = [], gc.freeze
def freezing():
    loaded.append([name for name in {LATE} if name in sys.modules])
    loaded[0] += ["Schema"] * sys.modules["fastapi.openapi.models"].Schema.__pydantic_complete__
    freeze()
gc.freeze = freezing  # what it does as soon as it answers
def look():
    until = time.monotonic() + 30
    while not (gc.get_freeze_count() and gc.isenabled()) and time.monotonic() < until:
        time.sleep(0.01)
    print(loaded[0], gc.get_freeze_count() > 10_000, gc.isenabled(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=look).start()
main()
"""

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=plain_environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )

    listening, found = done.stdout.splitlines()
    assert listening.startswith("mimo server listening on ")
    assert found == "[] True True"


SOME = ["Session", "PromptInput", "UserMessage", "AssistantMessage", "ToolPart", "Answer", "Event", "Session2"]


def test_a_first_prompt_waits_for_nothing_that_could_have_been_made_before_it_and_the_start_makes_little(
    tmp_path: Path,
) -> None:
    code = f"""
import pathlib
import anyio
from mimocode.server import http
from mimocode.server.later import Later
from mimocode.wire.base import Wire
from support.system import system

def kinds(of):
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)

def made():
    types = {{kind.__name__ for kind in kinds(Wire) if kind.__pydantic_complete__}}
    return types | {{route.path for each in http.ROUTES for route in each.router.routes if route.made}}

async def main():
    print([name for name in made() if name in {SOME} or name.startswith("/")])
    async with system(pathlib.Path({str(tmp_path)!r}), "text: hi") as running:
        await anyio.to_thread.run_sync(http.make_first)
        await running.app.warm(str(running.project))
        before = made()
        await running.prompt(await running.session())
        print(made() - before)

anyio.run(main)
"""

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**plain_environment(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.splitlines() == ["[]", "set()"]


@pytest.mark.parametrize("words", [["serve"], ["run"], ["doctor"], ["session", "list"], [], ["sevre"]])
def test_a_command_that_is_made_alone_is_told_of_like_one_of_many(words: list[str]) -> None:
    alone, one_of_many = (
        CliRunner().invoke(made, [*words, "--help"], prog_name="mimo") for made in (app_for(words), app)
    )

    assert (alone.exit_code, alone.output) == (one_of_many.exit_code, one_of_many.output)
    assert (app_for(words) is app) is (words[:1] not in (["serve"], ["run"], ["doctor"]))
