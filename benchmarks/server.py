"""A server that answers at once: nginx with canned bodies on a core of its own, or our sandbox where there is none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import harness, payloads

#: As long as a JWT: what a token costs is part of a call.
TOKEN = "bench." + "x" * 800
CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"
EVSE, CARD = "NL*TNM*E02003451*0", "NL-TNM-C00122045-K"
STATIONS = 5_000
#: The page that nginx answers with 500 full locations and their tariffs.
FULL_PAGE = 101

_CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  tcp_nodelay on; sendfile on; open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {folder};
    location = /v2/oauth/token {{ return 200 '{grant}'; }}
    location = /ev/v2/charge-session/retrieve {{ try_files /session.json =500; }}
    location = /ev/v2/locations {{ try_files /page-$arg_pageNumber.json /empty.json =500; }}
    location = /ev/v2/locations/full {{ try_files /page-{full}.json =500; }}
  }}
}}
"""


@dataclass
class Served:
    """A running server and what to ask it for."""

    kind: str
    url: str
    token: str
    session_id: str
    full_pages: bool
    """Whether it has a page of 500 full locations with tariffs."""

    @property
    def session_url(self) -> str:
        """The session that everybody looks up."""
        return f"{self.url}/ev/v2/charge-session/retrieve?sessionId={self.session_id}"

    def page_url(self, number: int) -> str:
        """One page of 500 locations."""
        return f"{self.url}/ev/v2/locations?pageNumber={number}&perPage={payloads.PAGE}"

    @property
    def headers(self) -> dict[str, str]:
        """What a call must carry."""
        return {
            "Authorization": f"Bearer {self.token}",
            "RequestId": "eb621f45-a543-4d9a-a934-2f223b263c42",
            "Accept": "application/json",
        }


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """A server on the first core until the block ends."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    context = _nginx(nginx) if nginx else _sandbox()
    with context as running:
        print(f"server: {running.kind}", file=sys.stderr)
        yield running


@contextlib.contextmanager
def _nginx(program: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="shell-ev-bench") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx started by root serves as somebody else
        (folder / "session.json").write_bytes(payloads.session())
        (folder / "empty.json").write_bytes(payloads.locations(0))
        (folder / f"page-{FULL_PAGE}.json").write_bytes(payloads.locations())
        for number in range(STATIONS // payloads.PAGE):
            page = payloads.locations(tariffs=False, start=number * payloads.PAGE)
            (folder / f"page-{number + 1}.json").write_bytes(page)
        payloads.locations.cache_clear()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        file = folder / "nginx.conf"
        grant = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": "86400"})
        file.write_text(_CONFIGURATION.format(folder=folder, port=port, full=FULL_PAGE, grant=grant))
        version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
        kind = version.rpartition(":")[2].strip().replace("/", " ")
        command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
        with _process(command, subprocess.DEVNULL):
            _wait_for(port)
            yield Served(kind, f"http://127.0.0.1:{port}", TOKEN, payloads.SESSION_ID, full_pages=True)


@contextlib.contextmanager
def _sandbox() -> Iterator[Served]:
    command = [sys.executable, "-m", "shell_ev.sandbox", "--port", "0", "--stations", str(STATIONS), "--speed", "1"]
    with _process(command, subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[4]
        from shell_ev import ShellEV

        with ShellEV(CLIENT_ID, CLIENT_SECRET, base_url=url) as ev:
            session_id = ev.charging.start(CARD, EVSE).data.session_id
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{url}/v2/oauth/token", body) as answer:
            token = str(json.load(answer)["access_token"])
        yield Served("the sandbox (no nginx here)", url, token, session_id, full_pages=False)


@contextlib.contextmanager
def _process(command: list[str], stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    def settle() -> None:
        harness.pin(client=False)

    process = subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.DEVNULL, preexec_fn=settle if os.name == "posix" else None
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("nginx did not start")
