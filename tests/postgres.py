"""A PostgreSQL server of the tests' own: from Debian's packages, as an unprivileged user, on loopback, gone at the end.

One server for each pytest process, started by the first test that wants a database. Where the programs are missing,
tests that need them are skipped; with `GCAL_TEST_POSTGRESQL=required` (CI) that is a failure, because a skipped
database is an untested one.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connector.store.postgres import PostgresConnection
from connector.store.upgrade import upgrade_postgres

USER = "gcal"
_numbers = count()


class PostgresServer:
    """A server with its own folder and port. `stop` and `start` are for tests of its absence."""

    def __init__(
        self,
        programs: Path,
        *,
        address: str = "127.0.0.1",
        inside: Sequence[str] = (),
        folder: Path | None = None,
    ) -> None:
        """`inside` is what a command is given to that runs another where the server is to be, such as a namespace."""
        self._programs = programs
        self._address, self._inside = address, inside
        self._folder = folder or Path(tempfile.mkdtemp(prefix="gcal-postgres-"))
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self._folder / "data"), *options)
        if address != "127.0.0.1":
            with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@{self._address}:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings: dict[str, object] = {"port": self.port, "fsync": "off"}
        settings["listen_addresses"] = "127.0.0.1" if self._address == "127.0.0.1" else "*"
        settings["unix_socket_directories"] = ""
        self._process = subprocess.Popen(
            [
                *self._inside,
                *(str(self._programs / "postgres"), "-D", str(self._folder / "data")),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **({} if self._inside else self._as_nobody()),
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the PostgreSQL server died at its start"
                assert time.monotonic() < deadline, "the PostgreSQL server does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it at once, as a crash would: its clients' connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def database(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name)

    def migrated(self) -> str:
        """The URL of a new database that has the schema."""
        return self.database(self._template())

    @cache  # noqa: B019  # one server lives as long as its process
    def _template(self) -> str:
        url = self.database()
        connection = PostgresConnection(url)
        upgrade_postgres(connection.raw)
        connection.close()
        return url.rpartition("/")[2]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            **self._as_nobody(),
        )

    def _as_nobody(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "cwd": "/"}


@cache
def postgres_server() -> PostgresServer:
    """This process's server, running."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        reason = "needs PostgreSQL (Debian: apt-get install postgresql)"
        if os.environ.get("GCAL_TEST_POSTGRESQL") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    server = PostgresServer(found[-1].parent)
    atexit.register(server.remove)
    server.start()
    return server
