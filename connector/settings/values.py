"""Turns single TOML values into settings: durations, URLs, domains, addresses. Each refuses with a text for people.

A refusal is pydantic's own (`PydanticCustomError` of type `mistake`), so that it is reported beside all others; `found`
and `expected` may be left out where the value's type and the field's description say enough.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from pydantic_core import PydanticCustomError

MISTAKE = "mistake"
URL_EXPECTED = "an https:// URL, or http:// on loopback only (127.0.0.0/8, [::1], localhost)"
PUSH_ADDRESS_EXPECTED = (
    "an https:// URL that Google reaches, such as https://calendar.example.com/google/notifications"
    " (http:// on loopback only)"
)
PUSH_PATH = "/google/notifications"

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")


def refused(found: str = "", expected: str = "") -> PydanticCustomError:
    """The refusal of a value; an empty text is filled in from the value or from the field's description."""
    return PydanticCustomError(MISTAKE, "refused", {"found": found, "expected": expected})


def duration(at_least: timedelta, at_most: timedelta) -> Callable[[Any], timedelta]:
    """A reader of durations such as "30s", "5m" or "1h" between two bounds."""

    def read(value: Any) -> timedelta:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise refused()
        length = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if not at_least <= length <= at_most:
            raise refused()
        return length

    return read


def user_guid(value: str) -> str:
    """A GUID as Salesloft writes it: lower-case, in groups of 8-4-4-4-12."""
    guid = value.lower()
    if guid.startswith("external_"):
        raise refused(
            expected="the user's GUID alone, without the prefix external_ (the connector adds it)"
        )
    if not _GUID.fullmatch(guid):
        raise refused()
    return str(UUID(guid))


def calendar_id(value: str) -> str:
    if not value or len(value) > 1024 or _has_blanks(value):
        raise refused()
    return value


def address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    if not local or _has_blanks(value) or not _is_domain(domain):
        raise refused()
    return value


def internal_domains(values: Any) -> frozenset[str]:
    """Bare domains in lower case, without a trailing dot, each in both forms (Unicode and `xn--`) if it has two."""
    if not isinstance(values, list):
        raise refused()
    if not values:
        raise refused(found="an empty list")
    domains: set[str] = set()
    for value in values:
        if not isinstance(value, str):
            raise refused(found="a list that holds something else than texts")
        domain = value.lower().removesuffix(".")
        if not _is_domain(domain):
            raise refused(found=shown_text(value))
        domains.add(domain)
        domains |= _other_forms(domain)
    return frozenset(domains)


def _other_forms(domain: str) -> set[str]:
    # Google shows addresses in either form. Python's codec knows IDNA 2003 only, which maps some letters to others
    # (ß to ss, another domain): what does not come back as it was is left alone.
    try:
        ascii_form = domain.encode("idna").decode("ascii")
        unicode_form = ascii_form.encode("ascii").decode("idna").lower()
    except UnicodeError:
        return set()
    return {ascii_form, unicode_form} if domain in (ascii_form, unicode_form) else set()


def _is_domain(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= 253 and len(labels) >= 2 and all(_LABEL.fullmatch(one) for one in labels)


def endpoint(value: str) -> str:
    """The root of an API: https, or http on loopback; without user, query, fragment or trailing slash."""
    parts = checked_url(value)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def push_address(value: str) -> str:
    """Where Google sends notifications: https, or http on loopback. Without a path, the receiver's usual one."""
    parts = checked_url(value)
    path = PUSH_PATH if parts.path in ("", "/") else parts.path
    return f"{parts.scheme}://{parts.netloc}{path}"


def checked_url(value: str) -> SplitResult:
    """The parts of a URL that may carry credentials: nothing that two parsers might read differently passes.

    Raises the refusal of a value; its `found` never holds a user, a password or a query.
    """
    if _has_blanks(value) or "\\" in value:
        raise refused(found="a URL with a space, a control character or a backslash")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise refused(found="a URL that cannot be read") from None
    if "@" in parts.netloc:
        raise refused(found="a URL with a user or a password in it")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise refused(found="a URL with a query or a fragment")
    shown = shown_text(f"{parts.scheme}://{parts.netloc}" if parts.netloc else value)
    if parts.scheme not in ("https", "http") or not is_host(host) or port == 0:
        raise refused(found=shown)
    if parts.scheme == "http" and not is_loopback(host):
        raise refused(found=f"{shown} (plain http to another machine)")
    return parts


def is_host(host: str) -> bool:
    """An IP address (without brackets) or an ASCII host name."""
    return _ip(host) is not None or (len(host) <= 253 and _HOST.fullmatch(host) is not None)


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and the name localhost; no other name, whatever it resolves to."""
    ip = _ip(host)
    return ip.is_loopback if ip is not None else host.lower() == "localhost"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def listen(value: str) -> str:
    """`HOST:PORT` or `[IPv6]:PORT`; port 0 lets the system choose."""
    host, _, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise refused()
    if not is_host(host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise refused()
    return value


def split_listen(value: str) -> tuple[str, int]:
    """Host and port of a checked `listen`; an IPv6 address without its brackets."""
    host, _, port = value.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def state_url(value: str) -> str:
    """`sqlite:///PATH` or `postgresql://…`. A refusal shows the scheme only: the rest may hold a password."""
    scheme, separator, rest = value.partition("://")
    if not separator or _has_blanks(scheme) or any(ord(char) < 32 for char in value):
        raise refused(found="a text that is no such URL")
    if scheme == "postgresql" and rest.strip("/"):
        return value
    if scheme != "sqlite":
        raise refused(found=f"a URL of the scheme {shown_text(scheme)}" if rest else "an empty URL")
    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path.strip("/") or path.endswith("/") or path == ":memory:":
        raise refused(found="a sqlite URL that names no file")
    if "?" in path or "#" in path:
        raise refused(found="a sqlite URL with a query")
    return value


def shown_text(value: str, limit: int = 60) -> str:
    """A text as messages show it: quoted, on one line, cut short."""
    return repr(value if len(value) <= limit else value[: limit - 1] + "…")


def _has_blanks(text: str) -> bool:
    return any(char.isspace() or not char.isprintable() for char in text)
