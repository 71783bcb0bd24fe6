"""Writes a redacted archive for a ticket: built from chosen fields, every free text scrubbed. Asks no service."""

from __future__ import annotations

import io
import json
import os
import platform
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import connector
from connector.app.opening import state_place
from connector.app.to_salesloft import team_of
from connector.domain.errors import StateUnusable
from connector.observe.scrub import Scrubber, hashed
from connector.settings.model import Settings, UserSettings
from connector.store import Database, Server, StatePlace, open_reader
from connector.store.backup import row_counts
from connector.store.connection import Connection as StateConnection
from connector.store.inspection import inspect_state
from connector.store.integrity import checks_of
from connector.store.server import inspect_server
from connector.store.support import SupportView, support_view

MOST_LOG_BYTES = 5_000_000
DESCRIPTIONS = {
    "versions.json": "this program, Python, the system, installed packages",
    "settings.json": "settings without addresses, domains, names, hosts and secrets",
    "state.json": "schema, sizes, rows, checks; each calendar's state and counts",
    "reasons.json": "why rows were refused, set aside or put off, scrubbed",
    "journal.json": "the last answers of Salesloft; event ids hashed",
    "log.txt": "the end of the log that was given, scrubbed",
}


def pseudonym(user_guid: str) -> str:
    """A user's name in every bundle: one-way, because a GUID cannot be guessed."""
    return f"user-{hashed(user_guid, 'user')[1:9]}"


async def bundle_files(settings: Settings, log: Path | None = None) -> dict[str, str]:
    """Name → text of every file of the archive, but for the manifest."""
    path = state_place(settings)
    database, view, state = None, None, dict[str, Any]()
    try:
        database = open_reader(path)
        view, state = await _state(database)
    except StateUnusable as unusable:
        state = {"unusable": str(unusable)}
    finally:
        if database is not None:
            database.close()
    scrub = Scrubber(_known(settings, view, path))
    told = {**_scrubbed(state, scrub), **_file(path, scrub)}
    files: dict[str, Any] = {
        "versions.json": _versions(),
        "settings.json": _settings(settings, scrub),
        "state.json": told,
    }
    if view is not None:
        guids = {row["id"]: row["user_guid"] for row in view.calendars}
        told |= {
            "calendars": [_calendar(row, scrub) for row in view.calendars],
            "bulk_jobs": view.bulk_jobs,
            "points": view.points,
            "held": view.held,
        }
        files["reasons.json"] = [_scrubbed(row, scrub) for row in view.reasons]
        files["journal.json"] = [_entry(row, guids, scrub) for row in view.journal]
    texts = {name: json.dumps(value, indent=1, default=str) + "\n" for name, value in files.items()}
    if log is not None:
        texts["log.txt"] = _log(log, scrub)
    return texts


def write_bundle(files: Mapping[str, str], target: Path, now: datetime) -> None:
    """Write the archive, mode 0600, all at once. OSError if it cannot be written."""
    manifest = {
        "made": now.astimezone(UTC).isoformat(timespec="seconds"),
        "by": f"gcal-salesloft {connector.__version__}",
        "files": {
            name: {"bytes": len(text.encode()), "holds": DESCRIPTIONS[name]}
            for name, text in files.items()
        },
        "not_in_it": "titles, descriptions, locations, addresses, domains, tokens, keys, payloads",
    }
    everything = {"manifest.json": json.dumps(manifest, indent=1) + "\n", **files}
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for file, text in everything.items():
                content = text.encode()
                entry = tarfile.TarInfo(f"gcal-salesloft-support/{file}")
                entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o600
                archive.addfile(entry, io.BytesIO(content))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


async def _state(database: Database) -> tuple[SupportView, dict[str, Any]]:
    def read(connection: StateConnection) -> tuple[SupportView, dict[str, Any]]:
        schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        told = {
            "schema": schema[0] if schema else None,
            "rows": row_counts(connection),
            "checks": [asdict(check) for check in checks_of(connection)],
        }
        return support_view(connection), told

    return await database.run(read)


def _known(settings: Settings, view: SupportView | None, path: StatePlace) -> dict[str, str]:
    """Every name of this installation that a text may hold."""
    known: dict[str, str] = {}
    for user in settings.users:
        name = pseudonym(user.salesloft.user_guid)
        info = user.google.credentials.info
        secrets = [str(value) for value in info.values() if isinstance(value, str)]
        known |= dict.fromkeys((text for text in secrets if len(text) >= 6), "<credential>")
        known[user.salesloft.api_key.reveal().strip()] = "<key>"
        known[user.google.subject or ""] = known[user.salesloft.user_guid] = known[user.name] = name
        known[user.google.calendar_id if user.google.calendar_id != "primary" else ""] = (
            "<calendar>"
        )
        known |= dict.fromkeys(user.policy.internal_domains, "<domain>")
        known[str(user.file)] = f"{name}.toml"
    for broken in settings.broken:
        known[broken.name] = hashed(broken.name)
    for row in view.calendars if view is not None else ():
        known[row["user_guid"]] = known[row["name"]] = pseudonym(row["user_guid"])
    known[str(path)] = "<state>"
    if not isinstance(path, Server):
        known[str(path.parent)] = "<folder>"
    for ours in (
        "true",
        "false",
        "user",
        "primary",
        "service_account",
        "authorized_user",
        "googleapis.com",
    ):
        known.pop(ours, None)
    known.pop("", None)
    return known


def _versions() -> dict[str, Any]:
    return {
        "gcal-salesloft": connector.__version__,
        "python": sys.version,
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "processors": os.cpu_count(),
        "packages": dict(sorted((one.metadata["Name"], one.version) for one in distributions())),
    }


def _settings(settings: Settings, scrub: Scrubber) -> dict[str, Any]:
    return {
        "state": settings.process.state_url.partition(":")[0],
        "log_format": settings.process.log_format,
        "listens": settings.process.listen is not None,
        "users": [_user(user) for user in settings.users],
        "broken": [
            {"user": hashed(one.name), "mistakes": [scrub.text(str(each)) for each in one.mistakes]}
            for one in settings.broken
        ],
    }


def _user(user: UserSettings) -> dict[str, Any]:
    google, salesloft, rules = user.google, user.salesloft, user.policy
    return {
        "user": pseudonym(salesloft.user_guid),
        "google": {
            "kind": google.credentials.kind,
            "calendar": "primary" if google.calendar_id == "primary" else "<calendar>",
            "subject": "<address>" if google.subject else None,
            "api_url": _default_or_other(google.api_url, "https://www.googleapis.com"),
            "push": google.push.address is not None,
            "requests_per_minute": google.requests_per_minute,
            "lost_after": str(google.lost_after),
        },
        "salesloft": {
            "team": team_of(user)[:8],
            "api_url": _default_or_other(salesloft.api_url, "https://api.salesloft.com"),
            "points_per_minute": salesloft.points_per_minute,
            "reserve": salesloft.reserve,
            "bulk_threshold": salesloft.bulk_threshold,
            "bulk_patience": str(salesloft.bulk_patience),
        },
        "policy": {
            "internal_domains": len(rules.internal_domains),
            "private": rules.private.value,
            "internal": rules.internal.value,
            "declined": rules.declined.value,
            "event_types": {kind.value: shown.value for kind, shown in rules.event_types.items()},
            "video_link_as_location": rules.video_link_as_location,
        },
        "sync": asdict(user.sync),
        "bookings": asdict(user.bookings),
        "roster": asdict(user.roster),
    }


def _default_or_other(url: str, default: str) -> str:
    return "default" if url == default else f"<{url.partition(':')[0]} host>"


def _file(path: StatePlace, scrub: Scrubber) -> dict[str, Any]:
    if isinstance(path, Server):
        server = inspect_server(path)
        return {
            "exists": bool(server.schema),
            "bytes": server.size,
            "held_by_a_process": bool(server.holder),
            "problem": scrub.text(server.problem),
        }
    seen = inspect_state(path)
    log = path.with_name(path.name + "-wal")
    return {
        "exists": seen.exists,
        "writable": seen.writable,
        "mode": f"{seen.mode:04o}",
        "bytes": seen.size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "free_bytes_on_disk": seen.free_bytes,
        "held_by_a_process": bool(seen.holder),
        "problem": scrub.text(seen.problem),
    }


def _calendar(row: Mapping[str, Any], scrub: Scrubber) -> dict[str, Any]:
    shown = {key: value for key, value in row.items() if key not in ("user_guid", "name")}
    shown["user"] = pseudonym(row["user_guid"])
    shown["parked_message"] = scrub.text(row["parked_message"] or "")
    return shown


def _entry(row: Mapping[str, Any], guids: Mapping[int, str], scrub: Scrubber) -> dict[str, Any]:
    guid = guids.get(row["calendar_id"], "")
    return {
        **row,
        "event_id": hashed(row["event_id"], guid),
        "message": scrub.text(row["message"]),
        "request_id": row["request_id"],
    }


def _scrubbed(row: Mapping[str, Any], scrub: Scrubber) -> dict[str, Any]:
    return {
        key: scrub.text(value) if isinstance(value, str) and key != "kind" else value
        for key, value in row.items()
    }


def _log(log: Path, scrub: Scrubber) -> str:
    with log.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        size = stream.tell()
        stream.seek(max(0, size - MOST_LOG_BYTES))
        text = stream.read().decode(errors="replace")
    if size > MOST_LOG_BYTES:
        text = text.partition("\n")[2]
    return "".join(scrub.line(line) + "\n" for line in text.splitlines())
