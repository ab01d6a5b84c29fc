"""Who is compared as a gateway: how each is started in front of the engine of the bench."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploys.planning.gateway.key import Key
from deploys.planning.gateway.plan import FOLDER, Backend, BackendServer, GatewayPlan
from deploys.rendering import gateway
from tests.temporary import DIES_WITH_US

MODEL = "bench"
KEY = "sk-bench-0000000000000000000000000000000000000000"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
# Streams at the same time that all of them are told to let through.
AT_ONCE = 1024
_NGINX = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes {processors};
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log {folder}/nginx-access.log;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  client_body_buffer_size 1m;
  client_max_body_size 32m;
  keepalive_requests 1000000;
  map_hash_bucket_size 256;
  map $http_authorization $user {{ default ""; "Bearer {key}" alice; }}
  upstream engine {{ server 127.0.0.1:{engine}; keepalive {at_once}; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location /v1/ {{
      if ($user = "") {{ return 401; }}
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""
_LITELLM = """\
model_list:
- model_name: {model}
  litellm_params:
    model: openai/{model}
    api_base: http://127.0.0.1:{engine}/v1
    api_key: none
general_settings:
  master_key: {key}
"""


class GatewayError(Exception):
    """One of them cannot be compared here; the message says why."""


@dataclass(frozen=True)
class Running:
    """One that answers.

    + port: on 127.0.0.1
    + tls: whether it speaks TLS there
    + process: its first one; None for the engine itself, whose memory is not compared
    """

    key: str
    title: str
    port: int
    tls: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection; nobody checks the certificate, which everybody has."""
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=120, context=context)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(
    key: str,
    title: str,
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    tls: bool = True,
) -> Iterator[Running]:
    """A program that is started, and answers by now."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*DIES_WITH_US, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        found = Running(key, title, port, tls, process)
        deadline = time.monotonic() + 300
        while not _answers(found):
            if process.poll() is not None or time.monotonic() > deadline:
                raise GatewayError(f"{title} does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait()


def _answers(found: Running) -> bool:
    try:
        connection = found.connect()
        connection.request("GET", "/v1/models", headers=HEADERS)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def certificate(folder: Path) -> Path:
    """A certificate and its key in one file, as all of them read it."""
    made = folder / "certificate.pem"
    key, public = folder / "key.pem", folder / "public.pem"
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench"
    )
    subprocess.run(
        ["openssl", *words.split(), "-keyout", str(key), "-out", str(public)],
        check=True,
        capture_output=True,
    )
    made.write_text(public.read_text() + key.read_text())
    return made


def ours(folder: Path, engine: int, pem: Path) -> contextlib.AbstractContextManager[Running]:
    """HAProxy as it is rendered for a machine, but for its folders and ports."""
    plan = GatewayPlan(
        name="bench",
        host="localhost",
        keys=(
            Key(
                **{
                    "user": "alice",
                    "team": "bench",
                    "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
                },
                **{"rate": 10**9, "at_once": AT_ONCE},
            ),
        ),
        backends=(
            Backend(
                service=MODEL,
                served=MODEL,
                model=MODEL,
                servers=(
                    BackendServer(name="bench", address="127.0.0.1", port=engine, parallel=AT_ONCE),
                ),
            ),
        ),
    )
    files = gateway.files(plan, None)
    ports = {":80": free_port(), ":443": free_port(), "127.0.0.1:8405": free_port()}
    place = folder / "haproxy"
    place.mkdir()
    shutil.copy(pem, place / "gateway.pem")
    for each in (files.configuration, *files.fixed, *files.maps):
        content = each.content.replace(FOLDER, str(place)).replace(gateway.RUN, str(place))
        for bind, port in ports.items():
            content = re.sub(
                rf"(?m)^(    bind ){re.escape(bind)}\b", rf"\g<1>127.0.0.1:{port}", content
            )
        (place / Path(each.path).name).write_text(content)
    program = _program("haproxy")
    return running(
        *("haproxy", "modelrack (HAProxy)"),
        [program, "-db", "-f", place / Path(files.configuration.path).name],
        ports[":443"],
        folder / "haproxy.log",
    )


def nginx(folder: Path, engine: int, pem: Path) -> contextlib.AbstractContextManager[Running]:
    """Debian's nginx with TLS and one key: no limits, no routing, nothing is counted."""
    port, path = free_port(), folder / "nginx.conf"
    path.write_text(
        _NGINX.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            processors=os.cpu_count(),
            certificate=pem,
            key=KEY,
            engine=engine,
            port=port,
            at_once=AT_ONCE,
        )
    )
    program = _program("nginx")
    return running("nginx", "nginx", [program, "-c", path], port, folder / "nginx-output.log")


def litellm(
    folder: Path, engine: int, pem: Path, environment: Path
) -> contextlib.AbstractContextManager[Running]:
    """LiteLLM's proxy with a process for each processor; it asks nobody else for anything."""
    port, path = free_port(), folder / "litellm.yaml"
    path.write_text(_LITELLM.format(model=MODEL, engine=engine, key=KEY))
    words = ["--config", path, "--host", "127.0.0.1", "--port", port]
    words += ["--ssl_keyfile_path", pem, "--ssl_certfile_path", pem]
    words += ["--num_workers", os.cpu_count() or 1, "--telemetry", "False"]
    return running(
        *("litellm", "LiteLLM"),
        [environment / "bin" / "litellm", *map(str, words)],
        port,
        folder / "litellm.log",
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
    )


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not found:
        raise GatewayError(f"{name} is missing: apt-get install {name}")
    return found


Start = Callable[[Path, int, Path], contextlib.AbstractContextManager[Running]]
