"""Who was erased: addresses that no payload may name, kept as keyed hashes only.

The address itself is never kept. A keyed hash (HMAC-SHA256) can be compared with each address that Google shows, and
tells nobody who was erased without the key and a guess. Aliases and plus-addresses are other addresses: what Google
shows as `a+b@example.org` is not recognised as `a@example.org`.
"""

from __future__ import annotations

import contextlib
import hmac
import html
import re
import unicodedata
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import NewType
from urllib.parse import unquote

from msgspec.structs import replace

from connector.domain.model import Event, Person

Digest = NewType("Digest", str)
"""64 hex digits."""

_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\"\\\x00-\x1f\x7f]+@[^\s@<>()\[\],;:\"\\/.]+(\.[^\s@<>()\[\],;:\"\\/.]+)+\.?"
)
LONGEST = 320
"""Characters: 64 before the @ and 255 behind it, as RFC 5321 has them."""


def is_address(text: str) -> bool:
    """True for one plain address: no name, no angle brackets, a domain with a dot."""
    return len(text) <= LONGEST and _ADDRESS.fullmatch(text) is not None


def normalised(email: str) -> str:
    """How addresses compare: without case and outer spaces, composed, the domain as the DNS spells it."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).casefold())
    local, at, domain = text.rpartition("@")
    domain = domain.rstrip(".")
    if not domain.isascii():
        with contextlib.suppress(UnicodeError):  # no name that the DNS knows: as it is written
            domain = domain.encode("idna").decode("ascii").lower()
    return f"{local}{at}{domain}"


def stands_in(text: str, email: str) -> bool:
    """True if a text names an address: as it is, in HTML, or in a link (`mailto:a%40b`). Not as part of another."""
    if not text:
        return False
    plain = unquote(html.unescape(text)).casefold()
    needle = re.escape(email.strip().casefold())
    return re.search(rf"(?<![\w.+-]){needle}(?![\w-]|\.\w)", plain) is not None


@dataclass(frozen=True, slots=True)
class Erased:
    """Everybody who was erased, as digests under a random `key` of this state. Falsy while there is nobody."""

    key: bytes = field(default=b"", repr=False)
    digests: frozenset[Digest] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.digests)

    def digest_of(self, email: str) -> Digest:
        """The keyed hash of an address."""
        return Digest(hmac.new(self.key, normalised(email).encode(), sha256).hexdigest())

    def has(self, email: str | None) -> bool:
        """True for an address of somebody who was erased. Costs nothing while there is nobody."""
        return bool(self.digests) and bool(email) and self.digest_of(email or "") in self.digests

    @property
    def name(self) -> str:
        """A one-way name of the whole set; empty while there is nobody. Another set makes sync tokens worthless."""
        if not self.digests:
            return ""
        return blake2b(" ".join(sorted(self.digests)).encode(), digest_size=8).hexdigest()


NOBODY = Erased()


def names_erased(event: Event, erased: Erased) -> bool:
    """True if somebody who was erased is an attendee or the organizer of an event."""
    if not erased:
        return False
    organizer = event.organizer.email if event.organizer else None
    return erased.has(organizer) or any(erased.has(guest.email) for guest in event.attendees)


def without_erased(event: Event, erased: Erased) -> Event:
    """The event without those people; the same object where it names none of them."""
    if not names_erased(event, erased):
        return event
    organizer = event.organizer
    if organizer is not None and erased.has(organizer.email):
        organizer = Person(is_self=organizer.is_self)
    attendees = tuple(guest for guest in event.attendees if not erased.has(guest.email))
    return replace(event, organizer=organizer, attendees=attendees)
