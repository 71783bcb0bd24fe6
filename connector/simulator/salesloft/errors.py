"""The answers that are refusals, raised from anywhere below a handler."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from connector.simulator.salesloft.switches import Switches
from connector.simulator.salesloft.validation import Mistakes


class Refused(Exception):
    """A request ends with this status and body."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def not_found() -> Refused:
    return Refused(404, {"error": "Not Found"})


def forbidden(missing: str) -> Refused:
    return Refused(403, {"error": "Forbidden", "message": f"missing permission: {missing}"})


def invalid(mistakes: Mistakes, switches: Switches, rng: random.Random) -> Refused:
    """A 422; its `errors` are a map of lists, a map of texts or a list, as Salesloft's vary."""
    shape = switches.error_shape
    if shape == "mixed":
        shape = rng.choice(("map", "text_map", "list"))
    errors: Any
    if shape == "map":
        errors = {name: [message] for name, message in mistakes.items()}
    elif shape == "text_map":
        errors = dict(mistakes)
    else:
        errors = [f"{name} {message}" for name, message in mistakes.items()]
    return Refused(422, {"errors": errors})


def as_text(mistakes: Mistakes) -> str:
    """One line, as a bulk record carries it."""
    return "; ".join(f"{name} {message}" for name, message in mistakes.items())
