"""A Google that only repeats: recorded increments, one item a page, and what it would answer about their series.

The recordings hold feeds, not the occurrences behind them. Those answers are made here, by hand and for daily series
only, which is all that was recorded: nothing of the simulator or the connector has a part in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

RECORDED = Path("/work/shared/recorded-google")
CHICAGO = ZoneInfo("America/Chicago")
_BASIC = "%Y%m%dT%H%M%SZ"

Item = dict[str, Any]


def recorded(name: str) -> list[Item]:
    """The items of a recording, in Google's order."""
    document = json.loads((RECORDED / f"{name}.json").read_text())
    items: list[Item] = document["items"] if isinstance(document, dict) else document
    return items


class Replay:
    """One calendar of `test.user@gmail.com`, in Chicago."""

    def __init__(self) -> None:
        self.known: dict[str, Item] = {}
        """What stands in the calendar: series, exceptions (cancelled ones too) and single events, by id."""
        self.feed: list[Item] = []
        self.asked: list[str] = []
        self._number = 0
        self._updated = "2025-03-01T00:00:00.000Z"

    def happens(self, items: list[Item], *, told: bool = True) -> None:
        """What a person did, as recorded; the next increment tells it (unless it happened before the first listing)."""
        for item in items:
            self.known[item["id"]] = item
            self._updated = item.get("updated", self._updated)
            if item["status"] == "cancelled" and "recurringEventId" not in item:
                self.known = {
                    key: one
                    for key, one in self.known.items()
                    if key != item["id"] and one.get("recurringEventId") != item["id"]
                }
        if told:
            self.feed += items
            self._number += 1

    # -- what a client asks ----------------------------------------------------------------------

    def app(self) -> web.Application:
        app = web.Application()
        events = "/calendar/v3/calendars/primary/events"
        app.router.add_post("/token", self._token)
        app.router.add_get(events, self._list)
        app.router.add_get(events + "/{event}", self._get)
        app.router.add_get(events + "/{event}/instances", self._instances)
        return app

    async def _token(self, _: web.Request) -> web.Response:
        answer = {"access_token": "replayed", "expires_in": 3599, "token_type": "Bearer"}
        return web.json_response(answer)

    async def _list(self, request: web.Request) -> web.Response:
        if request.query.get("singleEvents") == "true":
            self.asked.append("window")
            return self._page(request, self._expanded(request), size=50)
        if "syncToken" in request.query:
            self.asked.append("changes")
            told = [] if request.query["syncToken"] == f"token-{self._number}" else self.feed
            return self._page(request, told)
        self.asked.append("listing")
        self.feed = []
        return self._page(request, list(self.known.values()))

    async def _instances(self, request: web.Request) -> web.Response:
        self.asked.append("instances")
        master = self.known.get(request.match_info["event"])
        if master is None or "recurrence" not in master:
            return _not_found()
        items = [
            item for item in self._expanded(request) if item.get("recurringEventId") == master["id"]
        ]
        return self._page(request, items, size=50)

    async def _get(self, request: web.Request) -> web.Response:
        self.asked.append("get")
        item = self.known.get(request.match_info["event"])
        return _not_found() if item is None else web.json_response(item)

    def _page(self, request: web.Request, items: list[Item], size: int = 1) -> web.Response:
        """One item a page, and an empty page at the end, as Google may."""
        at = int(request.query.get("pageToken", "0"))
        body: dict[str, Any] = {
            "kind": "calendar#events",
            "updated": self._updated,
            "timeZone": "America/Chicago",
            "accessRole": "owner",
            "items": items[at : at + size],
        }
        if at < len(items):
            return web.json_response({**body, "nextPageToken": str(at + size)})
        return web.json_response({**body, "nextSyncToken": f"token-{self._number}"})

    # -- what Google would answer ----------------------------------------------------------------

    def _expanded(self, request: web.Request) -> list[Item]:
        low = datetime.fromisoformat(request.query["timeMin"])
        high = datetime.fromisoformat(request.query["timeMax"])
        found = [item for item in self._occurrences(high) if item["status"] != "cancelled"]
        return [item for item in found if _moment(item, "end") > low and _moment(item) < high]

    def _occurrences(self, high: datetime) -> Iterator[Item]:
        for item in list(self.known.values()):
            if "recurrence" in item:
                yield from self._daily(item, high)
            else:
                yield item

    def _daily(self, master: Item, high: datetime) -> Iterator[Item]:
        """The occurrences of `RRULE:FREQ=DAILY[;UNTIL=…]` that nobody touched, by the wall clock of Chicago."""
        (rule,) = master["recurrence"]
        _, _, until = rule.partition("FREQ=DAILY;UNTIL=")
        last = datetime.strptime(until, _BASIC).replace(tzinfo=UTC) if until else high
        start = _moment(master).astimezone(CHICAGO)
        length = _moment(master, "end") - _moment(master)
        base = master["id"].partition("_R")[0]
        while start <= min(last, high):
            event_id = f"{base}_{start.astimezone(UTC).strftime(_BASIC)}"
            if event_id not in self.known:
                untouched = {k: v for k, v in master.items() if k != "recurrence"}
                yield {
                    **untouched,
                    "id": event_id,
                    "recurringEventId": master["id"],
                    "originalStartTime": _rendered(start),
                    "start": _rendered(start),
                    "end": _rendered(start + length),
                }
            start = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=CHICAGO)


def _rendered(at: datetime) -> dict[str, str]:
    return {"dateTime": at.isoformat(), "timeZone": "America/Chicago"}


def _moment(item: Item, name: str = "start") -> datetime:
    when = item[name]
    if "date" in when:
        return datetime.fromisoformat(when["date"]).replace(tzinfo=CHICAGO)
    return datetime.fromisoformat(when["dateTime"])


def _not_found() -> web.Response:
    reason = {"domain": "global", "reason": "notFound", "message": "Not Found"}
    body = {"error": {"errors": [reason], "code": 404, "message": "Not Found"}}
    return web.json_response(body, status=404)
