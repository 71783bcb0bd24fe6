"""One check: what was looked at, what was seen, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """`scope` is `process`, `team NAME` or `user NAME`. `refused`: the service refuses these credentials."""

    scope: str
    what: str
    verdict: Verdict
    evidence: str
    remedy: str = ""
    refused: bool = False


def ok(scope: str, what: str, evidence: str) -> Check:
    return Check(scope, what, Verdict.OK, evidence)


def warning(scope: str, what: str, evidence: str, remedy: str) -> Check:
    return Check(scope, what, Verdict.WARNING, evidence, remedy)


def failed(scope: str, what: str, evidence: str, remedy: str, *, refused: bool = False) -> Check:
    return Check(scope, what, Verdict.FAILED, evidence, remedy, refused)
