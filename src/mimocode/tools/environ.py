"""The environment that commands run with: what programs need of ours, by name. Keys are not among it."""

import fnmatch
import re
from collections.abc import Iterable, Mapping

ALLOWED = frozenset(
    """
    PATH HOME USER LOGNAME SHELL PWD LANG LANGUAGE TZ TERM COLORTERM NO_COLOR FORCE_COLOR CLICOLOR COLUMNS LINES
    TMPDIR TEMP TMP EDITOR VISUAL PAGER LESS HOSTNAME CI DEBIAN_FRONTEND
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_DATA_DIRS XDG_CONFIG_DIRS XDG_RUNTIME_DIR
    DISPLAY WAYLAND_DISPLAY XAUTHORITY DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK DOCKER_HOST KUBECONFIG
    AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION
    SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO PIP_CERT
    CARGO_HTTP_CAINFO NIX_SSL_CERT_FILE UV_SYSTEM_CERTS UV_NATIVE_TLS
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
    VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_EXE PYTHONPATH PYTHONHOME PYTHONUNBUFFERED
    PYTHONDONTWRITEBYTECODE PYTHONIOENCODING PYTHONUTF8 PYENV_ROOT PYENV_VERSION UV_CACHE_DIR UV_PYTHON UV_INDEX_URL
    UV_DEFAULT_INDEX PIP_INDEX_URL PIP_CACHE_DIR PIP_CONFIG_FILE PIPX_HOME POETRY_HOME
    NODE_PATH NODE_OPTIONS NODE_ENV NVM_DIR NVM_BIN VOLTA_HOME FNM_DIR BUN_INSTALL DENO_DIR PNPM_HOME
    npm_config_registry npm_config_cache COREPACK_HOME
    CARGO_HOME CARGO_TARGET_DIR RUSTUP_HOME RUSTUP_TOOLCHAIN RUSTFLAGS RUST_BACKTRACE RUST_LOG
    GOPATH GOROOT GOBIN GOCACHE GOMODCACHE GOFLAGS GOPROXY GOTOOLCHAIN CGO_ENABLED
    JAVA_HOME JDK_HOME MAVEN_HOME M2_HOME GRADLE_HOME GRADLE_USER_HOME SDKMAN_DIR KOTLIN_HOME ANDROID_HOME
    ANDROID_SDK_ROOT DOTNET_ROOT DOTNET_CLI_TELEMETRY_OPTOUT GEM_HOME GEM_PATH BUNDLE_PATH RBENV_ROOT RBENV_VERSION
    ASDF_DIR ASDF_DATA_DIR MISE_DATA_DIR COMPOSER_HOME
    CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS LD_LIBRARY_PATH LIBRARY_PATH CPATH MAKEFLAGS PKG_CONFIG_PATH
    CMAKE_PREFIX_PATH CMAKE_GENERATOR MANPATH INFOPATH NIX_PATH NIX_PROFILES
    GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
    DYLD_LIBRARY_PATH HOMEBREW_PREFIX HOMEBREW_CELLAR HOMEBREW_REPOSITORY WSL_DISTRO_NAME
    LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME
    """.split()
)
"""Names that are no secret by what they are for."""

OWN = frozenset({"MIMOCODE_SERVER_PASSWORD", "OPENCODE_SERVER_PASSWORD"})
"""Never given, whatever is configured."""

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


def for_commands(environ: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """What of `environ` commands get; `also` are names, or patterns of names (``AWS_*``), that the user adds.

    Credentials in the addresses of what is given by itself (proxies, registries) are cut out.
    """
    patterns = tuple(also)
    given: dict[str, str] = {}
    for name, value in environ.items():
        if name in OWN:
            continue
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            given[name] = value
        elif name in ALLOWED:
            given[name] = _CREDENTIALS.sub("", value)
    return given


def withheld(environ: Mapping[str, str], also: Iterable[str] = ()) -> list[str]:
    """The names of `environ` that commands do not get."""
    return sorted(environ.keys() - for_commands(environ, also).keys())
