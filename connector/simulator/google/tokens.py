"""Sync tokens and page tokens: opaque to clients, small protobufs as recorded (reference 2.4, 2.9).

A sync token says up to when a client knows a calendar, and of which epoch of its sharing; it says
nothing of filters or windows. A page token is a keyset: the last row that was passed, so that a row
edited meanwhile turns up again.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass


class BadTokenError(ValueError):
    """A token that this server never issued, or not for this."""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode(fields: Mapping[int, int | str]) -> str:
    out = bytearray()
    for number, value in fields.items():
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            raw = value.encode()
            out += _varint(number << 3 | 2) + _varint(len(raw)) + raw
    return base64.urlsafe_b64encode(bytes(out)).decode()


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _decode(token: str) -> dict[int, int | str]:
    fields: dict[int, int | str] = {}
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        at = 0
        while at < len(raw):
            tag, at = _read_varint(raw, at)
            value, at = _read_varint(raw, at)
            if tag & 7 == 2:
                fields[tag >> 3] = raw[at : at + value].decode()
                at += value
            else:
                fields[tag >> 3] = value
    except (binascii.Error, IndexError, UnicodeError) as error:
        raise BadTokenError("undecodable token") from error
    return fields


def _ints(fields: Mapping[int, int | str], *numbers: int) -> list[int]:
    values = [fields.get(number) for number in numbers]
    if not all(isinstance(value, int) for value in values):
        raise BadTokenError("token of another kind")
    return [value for value in values if isinstance(value, int)]


def checksum(text: str) -> int:
    """A stable 32-bit number of a text."""
    return zlib.crc32(text.encode())


@dataclass(frozen=True, slots=True)
class SyncToken:
    """Everything up to `watermark` (microseconds) is known."""

    watermark: int
    owner: str
    """The calendar (or, of a calendarList, the user) that it belongs to."""
    epoch: int = 0

    def encoded(self, role: str = "owner") -> str:
        """The token's string."""
        free_busy = role == "freeBusyReader"
        return _encode(
            {
                1: self.watermark,
                2: 0 if free_busy else self.watermark,
                3: 10 if free_busy else 5,
                4: checksum(self.owner),
                5: checksum(f"{self.owner}#{self.epoch}"),
            }
        )


def read_sync_token(token: str, owner: str, epoch: int) -> SyncToken | None:
    """The token of this owner; None if its epoch has passed (410).

    Raises BadTokenError if it is undecodable or another's (400).
    """
    watermark, _, _, of, era = _ints(_decode(token), 1, 2, 3, 4, 5)
    if of != checksum(owner):
        raise BadTokenError("token of another calendar")
    return SyncToken(watermark, owner, epoch) if era == checksum(f"{owner}#{epoch}") else None


SortKey = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class PageToken:
    """Where the next page begins, and which listing it continues."""

    after: SortKey
    watermark: int
    parameters: int
    """Checksum of the calendar and of every other parameter."""
    issue: int = 0

    def encoded(self) -> str:
        """The token's string."""
        stamp, rank, event_id = self.after
        return _encode(
            {1: stamp, 2: rank, 3: event_id, 4: self.watermark, 5: self.parameters, 6: self.issue}
        )


def read_page_token(token: str, parameters: int) -> PageToken:
    """The page token of a listing with these parameters; BadTokenError for any other."""
    fields = _decode(token)
    stamp, rank, watermark, of, issue = _ints(fields, 1, 2, 4, 5, 6)
    event_id = fields.get(3)
    if of != parameters or not isinstance(event_id, str):
        raise BadTokenError("page token of another listing")
    return PageToken((stamp, rank, event_id), watermark, of, issue)
