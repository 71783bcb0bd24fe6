"""The names that `fields` may select: Google refuses a selector with any other."""

from __future__ import annotations

from .selector import Selection, check_names

_EVENT = frozenset(
    {
        "anyoneCanAddSelf",
        "attachments",
        "attendees",
        "attendeesOmitted",
        "birthdayProperties",
        "colorId",
        "conferenceData",
        "created",
        "creator",
        "description",
        "end",
        "endTimeUnspecified",
        "etag",
        "eventLabelId",
        "eventType",
        "extendedProperties",
        "focusTimeProperties",
        "gadget",
        "guestsCanInviteOthers",
        "guestsCanModify",
        "guestsCanSeeOtherGuests",
        "hangoutLink",
        "htmlLink",
        "iCalUID",
        "id",
        "kind",
        "location",
        "locked",
        "organizer",
        "originalStartTime",
        "outOfOfficeProperties",
        "privateCopy",
        "recurrence",
        "recurringEventId",
        "reminders",
        "sequence",
        "source",
        "start",
        "status",
        "summary",
        "transparency",
        "updated",
        "visibility",
        "workingLocationProperties",
    }
)
_EVENTS = frozenset(
    {
        "accessRole",
        "defaultReminders",
        "description",
        "etag",
        "items",
        "kind",
        "nextPageToken",
        "nextSyncToken",
        "summary",
        "timeZone",
        "updated",
    }
)
_CALENDAR = frozenset(
    {
        "autoAcceptInvitations",
        "conferenceProperties",
        "dataOwner",
        "description",
        "etag",
        "id",
        "kind",
        "labelProperties",
        "location",
        "summary",
        "timeZone",
        "workingHours",
    }
)
_ENTRY = _CALENDAR | frozenset(
    {
        "accessRole",
        "backgroundColor",
        "colorId",
        "defaultReminders",
        "deleted",
        "foregroundColor",
        "hidden",
        "notificationSettings",
        "primary",
        "selected",
        "summaryOverride",
    }
)
_LIST = frozenset({"etag", "items", "kind", "nextPageToken", "nextSyncToken"})
_TIME = frozenset({"date", "dateTime", "timeZone"})
_PERSON = frozenset({"displayName", "email", "id", "self"})
_ATTENDEE = _PERSON | frozenset(
    {
        "additionalGuests",
        "asyncOperation",
        "comment",
        "optional",
        "organizer",
        "resource",
        "responseStatus",
    }
)
_CONFERENCE = frozenset(
    {
        "conferenceId",
        "conferenceSolution",
        "createRequest",
        "entryPoints",
        "notes",
        "parameters",
        "signature",
    }
)
_ENTRY_POINT = frozenset(
    {
        "accessCode",
        "entryPointFeatures",
        "entryPointType",
        "label",
        "meetingCode",
        "passcode",
        "password",
        "pin",
        "regionCode",
        "uri",
    }
)
_NO_PARTS = frozenset(
    {
        "attendeesOmitted",
        "created",
        "description",
        "etag",
        "eventType",
        "hangoutLink",
        "htmlLink",
        "iCalUID",
        "id",
        "kind",
        "location",
        "recurrence",
        "recurringEventId",
        "sequence",
        "status",
        "summary",
        "transparency",
        "updated",
        "visibility",
    }
)
_WITHIN_EVENT = {
    "attendees": _ATTENDEE,
    "conferenceData": _CONFERENCE,
    "creator": _PERSON,
    "end": _TIME,
    "organizer": _PERSON,
    "originalStartTime": _TIME,
    "start": _TIME,
    **dict.fromkeys(_NO_PARTS, frozenset[str]()),
}
_LISTS = {
    "events.list": (_EVENTS, _EVENT),
    "events.instances": (_EVENTS, _EVENT),
    "calendarList.list": (_LIST, _ENTRY),
}
_CHANNEL = frozenset(
    {
        "address",
        "expiration",
        "id",
        "kind",
        "params",
        "payload",
        "resourceId",
        "resourceUri",
        "token",
        "type",
    }
)
_SINGLES = {
    "calendars.get": _CALENDAR,
    "calendarList.get": _ENTRY,
    "events.watch": _CHANNEL,
    "channels.stop": frozenset[str](),
}


def check_selection(selection: Selection, route: str) -> None:
    """Refuse (400 invalidParameter) a selector that names what this route never answers."""
    envelope, item = _LISTS.get(route, (None, _SINGLES.get(route, _EVENT)))
    if envelope is not None:
        check_names(selection, envelope)
        selection = selection.get("items", {})
    check_names(selection, item)
    if item is _EVENT:
        for name, known in _WITHIN_EVENT.items():
            check_names(selection.get(name, {}), known)
        entry_points = selection.get("conferenceData", {}).get("entryPoints", {})
        check_names(entry_points, _ENTRY_POINT)
