"""The JSON of Google's answers as typed structs; only what is used. Everything else in it is ignored.

A page is decoded in one go. Only if that fails is it decoded item by item, so that one item that cannot be read is set
aside and the others go on. The slow way uses the standard library's parser: it takes what msgspec refuses whole (lone
surrogates, bytes that are no UTF-8), and the item that holds it can be told.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from connector.domain.errors import RetryLater
from connector.domain.model import Item, Malformed
from connector.google.convert import Unreadable, WireEvent, to_item, to_moment
from connector.google.fields import mask_of


class BrokenBody(Exception):
    """An answer that calls itself a success and is not what it says: cut off, or no JSON object. Passing."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a listing, its items in Google's order."""

    items: tuple[Item | Malformed, ...]
    next_page_token: str | None
    next_sync_token: str | None
    time_zone: str
    access_role: str
    updated: datetime | None


class _Envelope(msgspec.Struct, rename="camel", frozen=True):
    items: list[WireEvent] | None = None
    next_page_token: str | None = None
    next_sync_token: str | None = None
    time_zone: str | None = None
    access_role: str | None = None
    updated: str | None = None


class _LooseEnvelope(msgspec.Struct, rename="camel", frozen=True):
    """The same with items of any kind, and no demands but on the tokens: without them the walk cannot go on."""

    items: list[Any] | None = None
    next_page_token: str | None = None
    next_sync_token: str | None = None
    time_zone: Any = None
    access_role: Any = None
    updated: Any = None


_page_decoder = msgspec.json.Decoder(_Envelope)
_event_decoder = msgspec.json.Decoder(WireEvent)

PAGE_FIELDS = mask_of(_Envelope)
EVENT_FIELDS = mask_of(WireEvent)
"""What is asked for of a page and of one event (`fields`): what the decoders read, no more."""
FEED_FIELDS = ",".join(sorted(_Envelope.__struct_encode_fields__))
"""The same of a page of the feed, with events whole: nearly all of these pages are empty, and naming the parts of an
event takes more bytes of each request than it spares of the few events that come."""


def decode_page(body: bytes) -> Page:
    """A page of `events.list` or `events.instances`. BrokenBody if it is none, RetryLater if its envelope is odd."""
    try:
        envelope = _page_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_page_slowly(body)
    items = tuple([_read(wire) for wire in envelope.items]) if envelope.items else ()
    return _page(items, envelope)


def decode_event(body: bytes) -> Item | Malformed:
    """The answer of `events.get`. BrokenBody if it is no JSON object."""
    try:
        return _read(_event_decoder.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_loose(_json_object(body))


def _decode_page_slowly(body: bytes) -> Page:
    try:
        envelope = msgspec.convert(_json_object(body), _LooseEnvelope)
    except msgspec.ValidationError:
        _raise_odd_envelope()
    return _page(tuple(_read_loose(item) for item in envelope.items or ()), envelope)


def _raise_odd_envelope() -> NoReturn:
    raise RetryLater(
        "Google's listing has items or tokens of an unknown form; the state is kept and it is tried "
        "again; if it lasts, report it with the connector's version"
    )


def _page(items: tuple[Item | Malformed, ...], envelope: _Envelope | _LooseEnvelope) -> Page:
    return Page(
        items=items,
        next_page_token=envelope.next_page_token or None,
        next_sync_token=envelope.next_sync_token or None,
        time_zone=_text(envelope.time_zone),
        access_role=_text(envelope.access_role),
        updated=to_moment(_text(envelope.updated)),
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        # surrogateescape: a byte that is no UTF-8 becomes a lone surrogate and condemns its item only.
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        raise BrokenBody("a body that is no JSON") from None
    if not isinstance(document, dict):
        raise BrokenBody("a body that is no JSON object")
    return document


def _read(wire: WireEvent) -> Item | Malformed:
    try:
        return to_item(wire)
    except Unreadable as error:
        return Malformed(wire.id or "", str(error))


def _read_loose(item: Any) -> Item | Malformed:
    """One item of any JSON kind."""
    if not isinstance(item, dict):
        return Malformed("", "not an object")
    try:
        wire = msgspec.convert(item, WireEvent)
        msgspec.json.encode(wire)  # raises on text that no other system could be sent
    except msgspec.ValidationError as error:
        return Malformed(_id_of(item), _without_values(error))
    except (UnicodeEncodeError, RecursionError):
        return Malformed(_id_of(item), "text that is no Unicode")
    return _read(wire)


def _id_of(item: dict[Any, Any]) -> str:
    return _text(item.get("id")).encode("utf-8", "replace").decode()


def _without_values(error: msgspec.ValidationError) -> str:
    """Where in the item it went wrong: msgspec's message may quote, its path holds names of fields only."""
    _, found, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`') if found else 'item'}: not of the expected type"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
