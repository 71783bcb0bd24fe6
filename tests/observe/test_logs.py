"""Log lines: for people, machines and the journal, and safe to paste."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from connector.observe import log
from connector.observe.redact import redacted
from tests.project.files import ROOT

SECRETS = {
    "an address": "pam.beesly@example.com",
    "an address in a link": "pam%40example.com",
    "a bearer token": "Bearer abc.def-123",
    "basic authentication": "Basic cGFtOnNlY3JldA==",
    "an access token": "ya29" + ".a0AfB_byC-123456",
    "a refresh token": "1/" + "/0gabcdefghi",
    "a JSON web token": "eyJ" + "hbGciOiJSUzI1NiJ9.e30.c2ln",
    "a private key": "-----BEGIN PRIVATE "
    + "KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE "
    + "KEY-----",
    "a hexadecimal key": "0123456789abcdef0123456789abcdef0123456789abcdef",
    "a link's query": "https://calendar.example.com/list?key=hush&q=merger",
    "a password in a link": "postgresql://pam:hush@db.example.com/state",
    "a Salesloft key": "v2-ak-do-not-print-me",
}
GIVEN_AWAY = re.compile(
    r"pam|hush|merger|abc\.def|cGFt|a0AfB|0gabcd|e30|c2ln|MIIE|0123456789abcdef0|do-not-print"
)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.basicConfig(level=logging.WARNING, force=True)


def line_of(log_format: Any, *, journal: bool, method: str = "warning", **values: Any) -> str:
    lines: list[str] = []

    class Sink:
        def msg(self, text: str) -> None:
            lines.append(text)

        debug = info = warning = error = critical = msg

    logger = structlog.wrap_logger(
        Sink(),
        processors=log.processors(log_format, journal=journal, colors=True),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    getattr(logger, method)("calendar_unread", **values)
    return lines[0]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_any_level_is_safe_to_paste(log_format: str, secret: str) -> None:
    said = f"Google said '{secret}', see there"
    line = line_of(log_format, journal=False, method="debug", message=said, more=[{"deep": said}])
    assert not GIVEN_AWAY.search(line)
    assert "Google said" in line
    assert "see there" in line


@pytest.mark.parametrize(
    "harmless",
    [
        "pam: the listing of changes failed 3 times, lastly: 503 (backendError); nothing is lost",
        "POST /v2/bulk_jobs/17/job_data: no answer (ServerDisconnectedError)",
        "/etc/gcal-salesloft/users/pam.toml: sync.poll_intervall: found an unknown key",
        "https://api.salesloft.com/v2/calendar/events",
        "2026-11-25T09:30:00+00:00",
        "7k2m9c0v1pq3abcdefgh_20261125T090000Z",
    ],
)
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert redacted(harmless) == harmless


def test_ids_stay_whole() -> None:
    long_id = "q1w2e3r4t5y6u7i8o9p0a1s2d3f4g5h6j7k8l9_20261125T090000Z"
    assert long_id in line_of("text", journal=False, event_id=long_id)
    assert "buyer" not in line_of("text", journal=False, event_id="buyer@example.com")


@pytest.mark.parametrize(
    ("method", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3)]
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_journal_gets_priorities_and_no_colours(
    log_format: str, method: str, priority: int
) -> None:
    line = line_of(log_format, journal=True, method=method, message="a\nb")
    assert all(part.startswith(f"<{priority}>") for part in line.split("\n"))
    assert "\x1b" not in line


def test_machines_get_json() -> None:
    said = json.loads(line_of("json", journal=False, user="pam", request_id="r-1"))
    assert said["event"] == "calendar_unread"
    assert (said["level"], said["user"], said["request_id"]) == ("warning", "pam", "r-1")


def test_the_journal_is_recognised_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        journal = f"{status.st_dev}:{status.st_ino}"
        assert log.is_journal(stream, {"JOURNAL_STREAM": journal})
        for other in ("", "x:y", f"{status.st_dev}:{status.st_ino + 1}", "7"):
            assert not log.is_journal(stream, {"JOURNAL_STREAM": other})
    assert not log.is_journal(sys.stderr, {})


def test_libraries_are_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure_logging("text")
    logging.getLogger("aiohttp.client").warning("to %s", SECRETS["an address"])
    said = capsys.readouterr().err
    assert "aiohttp.client: to …" in said


def events_in_the_source() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "connector").rglob("*.py"):
        if "simulator" not in file.parts:
            methods = r"\b_log\.(?:debug|info|warning|error|critical|log|bind)\b"
            source = file.read_text()
            assert not re.search(rf"{methods}(?!\()", source), f"{file}: an alias hides its event"
            found |= set(re.findall(rf"{methods}\(\s*([^\s,)]+)", source))
    return found


def test_every_event_is_documented_and_no_other() -> None:
    in_source = events_in_the_source()
    assert all(re.fullmatch(r'"[a-z_]+"', name) for name in in_source), in_source
    text = (ROOT / "docs/logs.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == sorted(name.strip('"') for name in in_source)
    assert all(row[3].strip() and row[4].strip() for row in rows)
