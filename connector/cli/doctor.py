"""`gcal-salesloft doctor`: the real connections, each with its evidence and its remedy. Works beside the daemon."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from connector.app.doctor import DoctorReport, check_mistakes, examine
from connector.cli.exits import MISCONFIGURED, OK, REFUSED, UNFINISHED, USAGE
from connector.domain.errors import ConfigurationInvalid
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.sync.checks import Check


async def run(config: Path, *, user: str | None, as_json: bool) -> int:
    report = DoctorReport()
    try:
        settings = load_settings(config)
    except ConfigurationInvalid as invalid:
        report.checks += check_mistakes(invalid.mistakes)
        if not as_json:
            for check in report.checks:
                _print(check)
        return _conclude(report, MISCONFIGURED, as_json=as_json)
    names = sorted([one.name for one in settings.users] + [one.name for one in settings.broken])
    if user is not None and user not in names:
        print(  # noqa: T201  # the user's answer
            f"gcal-salesloft: no user {user}; there are {', '.join(names[:20])}", file=sys.stderr
        )
        return USAGE
    configure_logging(settings.process.log_format)
    async for check in examine(config, settings, report, only=user):
        if not as_json:
            _print(check)
    if settings.broken:
        status = MISCONFIGURED
    elif report.is_refused:
        status = REFUSED
    else:
        status = UNFINISHED if report.failures else OK
    return _conclude(report, status, as_json=as_json)


def _print(check: Check) -> None:
    scope = "" if check.scope == "process" else f"{check.scope}: "
    print(f"{check.verdict.value:7}  {scope}{check.what}: {check.evidence}", flush=True)  # noqa: T201
    if check.remedy:
        print(f"         → {check.remedy}", flush=True)  # noqa: T201  # the command's answer


def _conclude(report: DoctorReport, status: int, *, as_json: bool) -> int:
    if as_json:
        answer = {
            "checks": [asdict(check) for check in report.checks],
            "failed": report.failures,
            "warnings": report.warnings,
            "points": report.points,
            "exit_status": status,
        }
        print(json.dumps(answer, indent=2))  # noqa: T201  # the command's answer
        return status
    count = len(report.checks)
    print(  # noqa: T201  # the command's answer
        f"{count} checks: {report.failures} failed, {report.warnings} warnings; {report.points} points spent"
    )
    return status
