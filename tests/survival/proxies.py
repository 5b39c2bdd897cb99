"""Real proxies in front of a server: each as its package configures it, but with a short idle timer.

What is not a timer, a port or a folder is a proxy's default; `Host` is handed on, as people who serve browsers do.
"""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import debian
from support.programs import Server, free_port, plain_environment, serving


@dataclass(frozen=True)
class Place:
    """Where one proxy works: its own folder and port, and the port of the server behind it."""

    program: Path
    folder: Path
    port: int
    upstream: int
    timer_s: int

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Proxy:
    """`argv` writes the configuration and says how to start it in the foreground. `says` is for the table.

    `user`: who it would become if root started it. It is started as that user: who changes it forgets to end with us.
    """

    name: str
    program: str
    says: str
    argv: Callable[[Place], Sequence[str]]
    user: str = ""

    @property
    def as_user(self) -> Sequence[str]:
        """The words that have setpriv start it so."""
        if not self.user or os.geteuid() != 0:
            return []
        return ["--reuid", self.user, "--regid", self.user, "--clear-groups"]


def _nginx(more: str = "") -> Callable[[Place], Sequence[str]]:
    def argv(at: Place) -> Sequence[str]:
        folders = "\n  ".join(
            f"{kind}_temp_path {at.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf = f"""\
daemon off;
user root;
pid {at.folder}/pid;
error_log {at.folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  {folders}
  {more}
  server {{
    listen 127.0.0.1:{at.port};
    location / {{
      proxy_pass http://127.0.0.1:{at.upstream};
      proxy_set_header Host $http_host;
      proxy_read_timeout {at.timer_s}s;
    }}
  }}
}}
"""
        return [str(at.program), "-e", f"{at.folder}/error.log", "-c", at.write("nginx.conf", conf)]

    return argv


def _haproxy(more: str = "") -> Callable[[Place], Sequence[str]]:
    def argv(at: Place) -> Sequence[str]:
        conf = f"""\
defaults
  mode http
  timeout connect {at.timer_s}s
  timeout client {at.timer_s}s
  timeout server {at.timer_s}s
  {more}
frontend front
  bind 127.0.0.1:{at.port}
  default_backend back
backend back
  server one 127.0.0.1:{at.upstream}
"""
        return [str(at.program), "-db", "-f", at.write("haproxy.cfg", conf)]

    return argv


def _apache(*modules: str, more: str = "") -> Callable[[Place], Sequence[str]]:
    def argv(at: Place) -> Sequence[str]:
        loaded = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in ("mpm_event", "authz_core", "proxy", "proxy_http", *modules)
        )
        conf = f"""\
ServerRoot {at.folder}
ServerName 127.0.0.1
DefaultRuntimeDir {at.folder}
PidFile {at.folder}/pid
ErrorLog {at.folder}/error.log
Listen 127.0.0.1:{at.port}
{loaded}
User www-data
Group www-data
Timeout {at.timer_s}
ProxyPass / http://127.0.0.1:{at.upstream}/
ProxyPreserveHost On
{more}
"""
        return [str(at.program), "-f", at.write("apache.conf", conf), "-DFOREGROUND"]

    return argv


def _caddy(at: Place) -> Sequence[str]:
    conf = f"""\
{{
  admin off
  auto_https off
}}
http://:{at.port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{at.upstream} {{
    transport http {{
      response_header_timeout {at.timer_s}s
      read_timeout {at.timer_s}s
    }}
  }}
}}
"""
    return [str(at.program), "run", "--adapter", "caddyfile", "--config", at.write("Caddyfile", conf)]


def _lighttpd(more: str = "") -> Callable[[Place], Sequence[str]]:
    def argv(at: Place) -> Sequence[str]:
        timers = f'"read-timeout" => {at.timer_s}, "write-timeout" => {at.timer_s}'
        conf = f"""\
server.modules = ("mod_proxy")
server.document-root = "{at.folder}"
server.upload-dirs = ("{at.folder}")
server.errorlog = "{at.folder}/error.log"
server.bind = "127.0.0.1"
server.port = {at.port}
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {at.upstream}, {timers})))
{more}
"""
        return [str(at.program), "-D", "-f", at.write("lighttpd.conf", conf)]

    return argv


def _varnish(at: Place) -> Sequence[str]:
    vcl = f"""\
vcl 4.1;
backend default {{
  .host = "127.0.0.1";
  .port = "{at.upstream}";
  .first_byte_timeout = {at.timer_s}s;
  .between_bytes_timeout = {at.timer_s}s;
}}
"""
    listening = ["-a", f"127.0.0.1:{at.port}", "-f", at.write("default.vcl", vcl), "-n", str(at.folder / "work")]
    return [str(at.program), "-F", "-j", "none", *listening, "-s", "malloc,16m"]


def _squid(at: Place) -> Sequence[str]:
    conf = f"""\
http_port 127.0.0.1:{at.port} accel vhost defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent {at.upstream} 0 no-query originserver name=one
http_access allow all
cache deny all
read_timeout {at.timer_s} seconds
shutdown_lifetime 0 seconds
visible_hostname localhost
pid_filename {at.folder}/squid.pid
cache_log {at.folder}/cache.log
coredump_dir {at.folder}
access_log none
netdb_filename none
pinger_enable off
"""
    return [str(at.program), "-N", "-f", at.write("squid.conf", conf)]


def _nghttpx(at: Place) -> Sequence[str]:
    return [
        str(at.program),
        f"--conf={at.write('nghttpx.conf', '')}",
        f"--frontend=127.0.0.1,{at.port};no-tls",
        f"--backend=127.0.0.1,{at.upstream}",
        f"--backend-read-timeout={at.timer_s}",
        "--workers=1",
        "--accesslog-file=/dev/null",
        f"--errorlog-file={at.folder}/error.log",
    ]


_GZIP = "gzip on; gzip_proxied any; gzip_types application/json text/event-stream;"
_KEPT = f"{_GZIP} proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"
_SQUEEZED = "compression algo gzip\n  compression type application/json text/event-stream"

PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("nginx", "nginx", "`proxy_read_timeout`; buffering on, as by default", _nginx()),
        Proxy("nginx-gzip", "nginx", "and `gzip on` for JSON", _nginx(_GZIP)),
        Proxy("nginx-buffering", "nginx", "and `gzip on`, deaf to `X-Accel-Buffering`", _nginx(_KEPT)),
        Proxy("haproxy", "haproxy", "`timeout client`, `timeout server`", _haproxy()),
        Proxy("haproxy-gzip", "haproxy", "and `compression algo gzip` for JSON", _haproxy(_SQUEEZED)),
        Proxy("apache", "apache2", "`Timeout`", _apache()),
        Proxy(
            "apache-deflate",
            "apache2",
            "and `SetOutputFilter DEFLATE`",
            _apache("filter", "deflate", more="SetOutputFilter DEFLATE"),
        ),
        Proxy("caddy", "caddy", "`read_timeout`, `response_header_timeout`", _caddy),
        Proxy("lighttpd", "lighttpd", "`read-timeout`; holds the whole response back, as by default", _lighttpd()),
        Proxy(
            "lighttpd-streaming",
            "lighttpd",
            "and `server.stream-response-body = 1`",
            _lighttpd("server.stream-response-body = 1"),
        ),
        Proxy("varnish", "varnishd", "`first_byte_timeout`, `between_bytes_timeout`", _varnish),
        Proxy("squid", "squid", "`read_timeout`", _squid, user="proxy"),
        Proxy("nghttpx", "nghttpx", "`backend-read-timeout`", _nghttpx),
    )
}
"""By name, in the order of the table."""


@contextmanager
def in_front(proxy: Proxy, upstream: int, folder: Path, timer_s: int) -> Generator[Server]:
    """Runs the proxy until the block ends. The server behind it must answer already."""
    found = debian.programs(proxy.program, "setpriv")
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # some of them give up being root
    at = Place(found[proxy.program], folder, free_port(), upstream, timer_s)
    with serving(
        [found["setpriv"], *proxy.as_user, "--pdeathsig", "TERM", *proxy.argv(at)],
        name=proxy.name,
        url=f"http://127.0.0.1:{at.port}",
        directory=folder,
        env={**plain_environment(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        log=folder / "said.log",
    ) as server:
        yield server
