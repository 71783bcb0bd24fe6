"""Acts in two running simulators as people would, and looks behind them: their control calls, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp

from connector.cli.demo_company import Seller

_PATIENCE = aiohttp.ClientTimeout(total=20)

Facts = dict[str, Any]
"""What a simulator tells of one event, one request or one user, as JSON has it."""


class ControlFailed(Exception):
    """A simulator did not do as it was told; the message is for people."""


class Control:
    """Both simulators. Every call raises `ControlFailed` if one of them cannot answer."""

    def __init__(self, session: aiohttp.ClientSession, google_url: str, salesloft_url: str) -> None:
        self.google_url = google_url
        self.salesloft_url = salesloft_url
        self._session = session

    async def act(self, seller: Seller, action: str, **arguments: Any) -> str:
        """Something that the seller, or somebody for them, does in their calendar; the event's id."""
        url = f"{self.google_url}/_sim/calendars/{seller.email}/{action}"
        return str((await self._ask("POST", url, json=arguments))["id"])

    async def seen(self, seller: Seller, start: datetime, end: datetime) -> list[Facts]:
        """The occurrences that the seller sees in their calendar, in the order of their start."""
        url = f"{self.google_url}/_sim/calendars/{seller.email}/truth"
        window = {"start": start.isoformat(), "end": end.isoformat()}
        return list((await self._ask("GET", url, params=window))["items"])

    async def polls(self, seller: Seller) -> int:
        """How often the seller's calendar was asked for changes so far."""
        log = (await self._ask("GET", f"{self.google_url}/_sim/log"))["items"]
        return sum(one["route"] == "events.list" and one["subject"] == seller.email for one in log)

    async def held(self, seller: Seller) -> list[Facts]:
        """Everything that Salesloft holds of the seller's calendar, cancelled events too."""
        url = f"{self.salesloft_url}/_sim/events"
        answer = await self._ask("GET", url, params={"calendar_id": seller.calendar_id})
        return list(answer["data"])

    async def book(
        self, seller: Seller, start: datetime, end: datetime, guest: str, **content: Any
    ) -> str:
        """A prospect books a meeting with the seller in Salesloft; the meeting's id."""
        booking = {
            "guid": seller.user_guid,
            "start": start.isoformat(),
            "end": end.isoformat(),
            "recipient_email": guest,
            **content,
        }
        url = f"{self.salesloft_url}/_sim/book_meeting"
        return str((await self._ask("POST", url, json=booking))["data"])

    async def meeting(self, meeting_id: str) -> Facts:
        """A meeting that was booked in Salesloft, as Salesloft has it now."""
        state = await self._ask("GET", f"{self.salesloft_url}/_sim/state")
        return next(dict(one) for one in state["meetings"] if str(one["id"]) == meeting_id)

    async def requests(self, after: int = 0) -> list[Facts]:
        """What Salesloft was asked so far, without bodies, from number `after` on."""
        url = f"{self.salesloft_url}/_sim/log"
        return list((await self._ask("GET", url, params={"after": str(after)}))["data"])

    async def _ask(self, method: str, url: str, **given: Any) -> Any:
        try:
            async with self._session.request(method, url, **given) as answer:
                if answer.status != 200:
                    reason = (await answer.text())[:200]
                    raise ControlFailed(f"{method} {url}: status {answer.status}: {reason}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ControlFailed(f"{method} {url}: no answer ({type(error).__name__})") from error


@asynccontextmanager
async def control(google_url: str, salesloft_url: str) -> AsyncIterator[Control]:
    """A `Control` with connections of its own."""
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        yield Control(session, google_url, salesloft_url)
