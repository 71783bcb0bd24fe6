"""What a person types into an event, as Google's JSON properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Guest = str | Mapping[str, Any]

_PLAIN = {
    "summary": "summary",
    "description": "description",
    "location": "location",
    "visibility": "visibility",
    "transparency": "transparency",
    "event_type": "eventType",
    "color_id": "colorId",
    "hangout_link": "hangoutLink",
    "conference_data": "conferenceData",
    "reminders": "reminders",
    "extended_properties": "extendedProperties",
}
_ROOM = "@resource.calendar.google.com"
_MARKERS = ("self", "organizer")  # rendered from who looks, never stored


def guest_json(guest: Guest) -> dict[str, Any]:
    """One attendee: an address, or Google's own object."""
    shown: dict[str, Any] = {"email": guest} if isinstance(guest, str) else dict(guest)
    if str(shown.get("email", "")).endswith(_ROOM):
        shown.setdefault("resource", True)
    shown.setdefault("responseStatus", "needsAction")
    return {name: value for name, value in shown.items() if name not in _MARKERS}


def guests_json(guests: Iterable[Guest]) -> list[dict[str, Any]]:
    """A list of attendees."""
    return [guest_json(guest) for guest in guests]


def person_json(person: Guest) -> dict[str, Any]:
    """An organizer or creator: an address, or Google's own object."""
    shown = {"email": person} if isinstance(person, str) else dict(person)
    return {name: value for name, value in shown.items() if name != "self"}


def meet(code: str) -> dict[str, Any]:
    """A Google Meet conference: conferenceData and hangoutLink."""
    uri = f"https://meet.google.com/{code}"
    video = {"entryPointType": "video", "uri": uri, "label": f"meet.google.com/{code}"}
    phone = {
        "entryPointType": "phone",
        "regionCode": "US",
        "uri": "tel:+1-202-555-0100",
        "label": "+1 202-555-0100",
        "pin": "123456789",
    }
    data = {
        "entryPoints": [video, phone],
        "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
        "conferenceId": code,
    }
    return {"hangoutLink": uri, "conferenceData": data}


def add_on(uri: str, name: str = "Zoom Meeting") -> dict[str, Any]:
    """A conference of an add-on: no hangoutLink, a video entry point."""
    data = {
        "entryPoints": [{"entryPointType": "video", "uri": uri, "label": uri.split("//")[-1]}],
        "conferenceSolution": {"key": {"type": "addOn"}, "name": name},
        "conferenceId": uri.rsplit("/", 1)[-1],
    }
    return {"conferenceData": data}


def _conference(wanted: object) -> dict[str, Any]:
    match wanted:
        case None | False:
            return {"hangoutLink": None, "conferenceData": None}
        case True | "meet":
            return meet("abc-defg-hij")
        case str():
            return meet(wanted.rsplit("/", 1)[-1]) if "meet.google" in wanted else add_on(wanted)
        case Mapping():
            return {"conferenceData": dict(wanted)}
    raise TypeError("conference is True, an address, conferenceData, or None")


def fields_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON properties of keyword arguments; None removes a property.

    `extra` passes anything else through under Google's own names. Unknown keywords are a TypeError.
    """
    fields: dict[str, Any] = {}
    for name, value in changes.items():
        if name in _PLAIN:
            fields[_PLAIN[name]] = value
        elif name == "attendees":
            fields["attendees"] = None if value is None else guests_json(value)
        elif name in ("organizer", "creator"):
            fields[name] = person_json(value)
        elif name == "conference":
            fields |= _conference(value)
        elif name == "extra":
            fields |= dict(value or {})
        else:
            raise TypeError(f"an event has no {name!r}")
    return fields


def merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The properties after a change; what is None afterwards is gone."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}
