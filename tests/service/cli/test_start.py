"""The command starts without what it does not need."""

import subprocess
import sys

HEAVY = ["pydantic", "httpx", "fastapi", "uvicorn", "prompt_toolkit", "rich.console", "pydantic_ai", "openai"]


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


def test_a_client_that_only_asks_loads_no_server() -> None:
    code = """
import sys
import mimocode.client, mimocode.cli.sessions, mimocode.cli.running
print([name for name in ("fastapi", "uvicorn", "pydantic_ai", "prompt_toolkit", "mimocode.app") if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
