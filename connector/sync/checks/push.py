"""Judges what Google's notifications need: an address that leads to the receiver, and a channel for each user."""

from __future__ import annotations

from dataclasses import dataclass

from connector.store.channels import Standing
from connector.sync.checks.model import Check, failed, ok, warning
from connector.sync.checks.process import PROCESS

WHAT = "push address"
TAKEN_IN = 204
_AT_THE_PROXY = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """What a POST to an address came to: a status, or how it failed, in words."""

    status: int = 0
    certificate: str = ""
    """Why its certificate is not accepted."""
    problem: str = ""
    """Why there was no answer."""


def judge_address(address: str, seen: AddressSeen, listen: str) -> Check:
    """Whether what Google sends to an address would reach the receiver."""
    if seen.certificate:
        return failed(
            PROCESS,
            WHAT,
            f"{address}: its certificate is refused ({seen.certificate}), by Google too",
            "give the reverse proxy a certificate of a public authority for this name, with the whole chain",
        )
    if seen.problem:
        return warning(
            PROCESS,
            WHAT,
            f"{address}: no answer ({seen.problem})",
            "look from outside, too: `curl -i -X POST` this address must answer 204; check DNS, firewall and"
            " the reverse proxy (docs/push.md)",
        )
    if seen.status == TAKEN_IN:
        return ok(PROCESS, WHAT, f"{address}: answered as the receiver does")
    if seen.status in _AT_THE_PROXY:
        return failed(
            PROCESS,
            WHAT,
            f"{address}: {seen.status} from the reverse proxy",
            f"is the daemon running, and does the proxy pass on to [google.push] listen ({listen})?",
        )
    return failed(
        PROCESS,
        WHAT,
        f"{address}: {seen.status}, which is not the receiver's answer",
        f"let the reverse proxy pass POSTs of this very path on to [google.push] listen ({listen})",
    )


def judge_channel(scope: str, standing: Standing | None) -> Check:
    """How one user's channel stands; None: the state does not know the user yet."""
    what = "push channel"
    if standing is None:
        return ok(scope, what, "none yet; the daemon makes it")
    if standing.state == "healthy" and standing.expires is not None:
        until = standing.expires.isoformat(timespec="minutes")
        return ok(scope, what, f"healthy, renewed before {until}")
    if standing.state in ("waiting", "not_supported"):
        return ok(scope, what, standing.message or standing.state)
    since = f" since {standing.since.isoformat(timespec='minutes')}" if standing.since else ""
    evidence, remedy = f"{standing.state}{since}", standing.message or ""
    return warning(scope, what, evidence, remedy or "polling goes on at full speed")
