"""`gcal-salesloft state`: back up, restore and check what the connector remembers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from connector.app import state_place
from connector.cli.exits import OK, UNFINISHED
from connector.settings.files import load_settings
from connector.store import Server, StatePlace, open_reader
from connector.store.backup import restore_backup, row_counts, write_backup, write_server_backup
from connector.store.database import is_at_rest, no_state, unusable
from connector.store.integrity import StateCheck, check_state, checks_of
from connector.store.moving import move_state
from connector.store.server import inspect_server


def backup(config: Path, target: Path, *, force: bool) -> int:
    place = state_place(load_settings(config))
    if isinstance(place, Server):
        done = write_server_backup(place, target, force=force)
    else:
        done = write_backup(place, target, force=force)
    print(  # noqa: T201  # the command's answer
        f"{done.file}: {_size(done.size)}, schema {done.schema}, {done.rows.get('calendars', 0)} calendars,"
        f" {done.rows.get('occurrences', 0)} occurrences; checked, and every row is there"
    )
    return OK


def restore(config: Path, source: Path) -> int:
    path = state_place(load_settings(config))
    if isinstance(path, Server):
        print(  # noqa: T201  # the user's answer
            f"gcal-salesloft: {path} is a server's state: restore it with the server's own tools (pg_restore), or"
            f" restore {source} to a SQLite state and move it to an empty database with `state migrate`."
            " Nothing was changed",
            file=sys.stderr,
        )
        return UNFINISHED
    done = restore_backup(source, path, datetime.now(UTC))
    lines = [
        f"{path}: restored from {source}: {done.calendars} calendars, {done.occurrences} occurrences"
    ]
    if done.kept is not None:
        lines.append(f"the state of before is kept as {done.kept}; delete it when all is well")
    lines.append(
        "the next `gcal-salesloft run` lists every calendar in full and compares it with what Salesloft holds by now;"
        " only what differs is sent"
    )
    if done.dropped or done.jobs or done.dead_letters:
        lines.append(
            f"not resent from the backup, as it may be stale: {done.dropped} waiting rows, {done.jobs} bulk jobs,"
            f" {done.dead_letters} refusals; what of it is still true is found again"
        )
    print("\n".join(lines))  # noqa: T201  # the command's answer
    if done.kept is not None and not done.decisions_kept:
        print(  # noqa: T201  # the user's answer
            "gcal-salesloft: the replaced state could not be read: erasures, departures and pauses that were decided"
            " after the backup are not in it; repeat `erase`, `offboard` and `pause` for those before you start",
            file=sys.stderr,
        )
    return OK


def check(config: Path, *, as_json: bool) -> int:
    path = state_place(load_settings(config))
    if isinstance(path, Server):
        return _check_server(path, as_json=as_json)
    if not path.exists():
        raise no_state(path)
    with unusable(path), contextlib.closing(_reader(path)) as connection:
        connection.execute("BEGIN")
        checks = check_state(connection)
        rows = row_counts(connection) if checks[0].ok else {}
        free = connection.execute("PRAGMA freelist_count").fetchone()[0] if rows else 0
        page = connection.execute("PRAGMA page_size").fetchone()[0] if rows else 0
    log = path.with_name(path.name + "-wal")
    sizes = {
        "file": path.stat().st_size,
        "log": log.stat().st_size if log.exists() else 0,
        "free": free * page,
    }
    return _tell(path, checks, sizes, rows, as_json=as_json)


def _check_server(server: Server, *, as_json: bool) -> int:
    async def look() -> tuple[list[StateCheck], dict[str, int]]:
        database = open_reader(server)
        try:
            return await database.run(lambda c: (checks_of(c), row_counts(c)))
        finally:
            database.close()

    checks, rows = asyncio.run(look())
    sizes = {"database": inspect_server(server).size}
    return _tell(server, checks, sizes, rows, as_json=as_json)


def _tell(
    place: StatePlace,
    checks: list[StateCheck],
    sizes: dict[str, int],
    rows: dict[str, int],
    *,
    as_json: bool,
) -> int:
    if as_json:
        answer = {
            "state": str(place),
            "ok": all(one.ok for one in checks),
            "checks": [asdict(one) for one in checks],
            "bytes": sizes,
            "rows": rows,
        }
        print(json.dumps(answer, indent=2))  # noqa: T201  # the command's answer
    else:
        _print(place, checks, sizes, rows)
    return OK if all(one.ok for one in checks) else UNFINISHED


def migrate(config: Path, url: str) -> int:
    """Move the state from its SQLite file to a PostgreSQL server; the file stays as it is."""
    source = state_place(load_settings(config))
    if isinstance(source, Server) or not url.startswith("postgresql://"):
        print(  # noqa: T201  # the user's answer
            "gcal-salesloft: `state migrate` moves a SQLite state to --to postgresql://…; nothing was changed."
            " From a server to a file: `state backup`, then `state restore` with [state] url = sqlite:…",
            file=sys.stderr,
        )
        return UNFINISHED
    target = Server(url)
    done = move_state(source, target)
    counted = ", ".join(f"{name} {count}" for name, count in done.rows.items() if count)
    print(  # noqa: T201  # the command's answer
        f"{target}: {sum(done.rows.values())} rows are there and equal, {done.copied} of them written now\n"
        f"rows: {counted or 'none'}\n"
        f"now set [state] url to the server's address and start the daemon; {source} is as it was: keep it until all"
        " is well, but never run on it again"
    )
    return OK


def _reader(path: Path) -> sqlite3.Connection:
    # Of a state at rest SQLite would leave a log beside the file.
    uri = f"file:{quote(str(path))}?{'immutable=1' if is_at_rest(path) else 'mode=ro'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _print(
    place: StatePlace, checks: list[StateCheck], sizes: dict[str, int], rows: dict[str, int]
) -> None:
    for one in checks:
        print(f"{'ok     ' if one.ok else 'FAILED '} {one.name}: {one.evidence}")  # noqa: T201
        if one.remedy:
            print(f"        → {one.remedy}")  # noqa: T201  # the command's answer
    print(  # noqa: T201  # the command's answer
        f"{place}: " + ", ".join(f"{name} {_size(size)}" for name, size in sizes.items())
    )
    counted = ", ".join(f"{name} {count}" for name, count in rows.items() if count)
    if counted:
        print(f"rows: {counted}")  # noqa: T201  # the command's answer


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
