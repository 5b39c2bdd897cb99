"""How many words of a command say what it does: the rest are its operands.

``git checkout main`` is a ``git checkout``: two words. Whoever allows it for good allows ``git checkout *``.
"""

ARITY: dict[str, int] = {
    "apt": 2,
    "apt-get": 2,
    "asdf": 2,
    "aws": 3,
    "az": 3,
    "bazel": 2,
    "brew": 2,
    "bun": 2,
    "bun pm": 3,
    "bun run": 3,
    "bun x": 3,
    "bundle": 2,
    "bundle exec": 3,
    "bunx": 2,
    "cargo": 2,
    "cargo run": 3,
    "composer": 2,
    "conda": 2,
    "corepack": 2,
    "dart": 2,
    "deno": 2,
    "deno task": 3,
    "dnf": 2,
    "docker": 2,
    "docker builder": 3,
    "docker compose": 3,
    "docker container": 3,
    "docker image": 3,
    "docker network": 3,
    "docker volume": 3,
    "dotnet": 2,
    "flutter": 2,
    "gcloud": 3,
    "gh": 3,
    "git": 2,
    "git bisect": 3,
    "git config": 3,
    "git remote": 3,
    "git stash": 3,
    "git submodule": 3,
    "git worktree": 3,
    "glab": 3,
    "go": 2,
    "go mod": 3,
    "gradle": 2,
    "helm": 2,
    "helm repo": 3,
    "hg": 2,
    "just": 2,
    "kubectl": 2,
    "kubectl config": 3,
    "kubectl rollout": 3,
    "make": 2,
    "mise": 2,
    "mix": 2,
    "mvn": 2,
    "nix": 2,
    "npm": 2,
    "npm exec": 3,
    "npm run": 3,
    "npx": 2,
    "nx": 2,
    "openssl": 2,
    "pacman": 2,
    "pdm": 2,
    "pdm run": 3,
    "pip": 2,
    "pip3": 2,
    "pipenv": 2,
    "pipenv run": 3,
    "pipx": 2,
    "pnpm": 2,
    "pnpm dlx": 3,
    "pnpm exec": 3,
    "pnpm run": 3,
    "podman": 2,
    "poetry": 2,
    "poetry run": 3,
    "pre-commit": 2,
    "python": 2,
    "python3": 2,
    "rake": 2,
    "rustup": 2,
    "sbt": 2,
    "svn": 2,
    "swift": 2,
    "systemctl": 2,
    "task": 2,
    "terraform": 2,
    "terraform workspace": 3,
    "tofu": 2,
    "turbo": 2,
    "uv": 2,
    "uv pip": 3,
    "uv run": 3,
    "uv tool": 3,
    "uvx": 2,
    "yarn": 2,
    "yarn dlx": 3,
    "yarn run": 3,
    "yarn workspace": 4,
    "yum": 2,
    "zypper": 2,
}

WRAPPERS: dict[str, tuple[int, frozenset[str]]] = {
    "builtin": (0, frozenset()),
    "chroot": (1, frozenset()),
    "command": (0, frozenset()),
    "doas": (0, frozenset({"-C", "-u"})),
    "env": (0, frozenset({"-C", "-u"})),
    "exec": (0, frozenset({"-a"})),
    "ionice": (0, frozenset({"-c", "-n"})),
    "nice": (0, frozenset({"-n"})),
    "nohup": (0, frozenset()),
    "setsid": (0, frozenset()),
    "stdbuf": (0, frozenset({"-e", "-i", "-o"})),
    "sudo": (0, frozenset({"-C", "-D", "-R", "-T", "-U", "-g", "-h", "-p", "-u"})),
    "time": (0, frozenset({"-f", "-o"})),
    "timeout": (1, frozenset({"-k", "-s"})),
    "xargs": (0, frozenset({"-E", "-I", "-L", "-P", "-a", "-d", "-n", "-s"})),
}
"""Commands that run the command in their arguments: how many operands stand before it, which flags take a value."""

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})

FILES = frozenset(
    {
        "basename",
        "cat",
        "cd",
        "chgrp",
        "chmod",
        "chown",
        "cp",
        "diff",
        "du",
        "file",
        "find",
        "head",
        "install",
        "less",
        "ln",
        "ls",
        "mkdir",
        "more",
        "mv",
        "nl",
        "pushd",
        "readlink",
        "rm",
        "rmdir",
        "rsync",
        "shred",
        "source",
        "stat",
        "tac",
        "tail",
        "tee",
        "touch",
        "tree",
        "truncate",
        "unlink",
        "wc",
        ".",
    }
)
"""Commands whose operands are files or directories."""

EXPRESSIONS: dict[str, str] = {
    "awk": "EFWefilov",
    "egrep": "ABCDdefm",
    "fgrep": "ABCDdefm",
    "gawk": "EFWefilov",
    "grep": "ABCDdefm",
    "mawk": "FWefv",
    "rg": "ABCEMTdefgjmrt",
    "sed": "efl",
}
"""Commands whose first operand is no path but what they look for or do, and their short options that take a value."""

DELIMITED = frozenset({"awk", "column", "cut", "gawk", "join", "mawk", "paste", "sort", "tr", "xargs"})
"""Commands that take a ``/`` for what parts fields."""

REMOTE = frozenset({"docker", "kubectl", "nerdctl", "oc", "podman", "rsync", "scp", "sftp"})
"""Commands to which ``name:/path`` is elsewhere."""

PRIVILEGED = frozenset({"doas", "pkexec", "su", "sudo"})


def prefix(words: list[str]) -> str | None:
    """The words that say what the command does; None if a flag or an empty word stands where one of them should."""
    count = 1
    for length in range(min(len(words), 3), 0, -1):
        known = ARITY.get(" ".join(words[:length]))
        if known is not None:
            count = known
            break
    chosen = words[:count]
    if not chosen or any(not word or word.startswith("-") for word in chosen):
        return None
    return " ".join(chosen)
