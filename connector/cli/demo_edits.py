"""What the three sellers do during the demo, one thing after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector.cli.demo_calendars import PROSPECTS, Filled, local, workday
from connector.cli.demo_company import ANDY, JIM, PAM, Seller
from connector.cli.demo_control import Control, Facts
from connector.cli.demo_judge import Judge


@dataclass(frozen=True, slots=True)
class Office:
    """What an edit needs: the simulators and the events that were filled in."""

    control: Control
    judge: Judge
    filled: Mapping[Seller, Filled]

    def at(self, seller: Seller, workday_number: int, hour: int) -> str:
        """A time on the seller's `workday_number`th working day from today."""
        return local(seller, workday(self.judge.now, seller, workday_number), hour)

    async def coming(self, seller: Seller, series: str) -> list[Facts]:
        """The coming occurrences of one of the seller's series."""
        wanted = await self.judge.wanted(self.control, seller)
        tomorrow = self.judge.now.astimezone(UTC) + timedelta(days=1)
        event_id = self.filled[seller][series]
        return [
            one
            for one in wanted
            if one["recurring_event_id"] == event_id
            and datetime.fromisoformat(one["start"]) > tomorrow
        ]


@dataclass(frozen=True, slots=True)
class Edit:
    """Something that a seller does. `unseen`: why Salesloft is not to be told of it; empty if it is.

    `booking`: a meeting that is booked in Salesloft, and must first reach Google; `do` answers with its id.
    """

    seller: Seller
    done: str
    do: Callable[[Office], Awaitable[str]]
    unseen: str = ""
    booking: bool = False


def edits() -> tuple[Edit, ...]:
    """In the order in which the demo shows them; each kind of change once."""
    vance, lackawanna, stone, blau = _names()
    return (
        Edit(PAM, f'booked "Pitch {vance}" with a prospect', _book_pitch),
        Edit(JIM, f'rescheduled "Demo {lackawanna}" by two hours', _reschedule),
        Edit(ANDY, 'booked a private "Notary"', _book_private),
        Edit(PAM, f'got "Intro {vance}", booked in Salesloft', _book_in_salesloft, booking=True),
        Edit(PAM, f'cancelled one "Check-in {vance}" of the series', _cancel_one),
        Edit(JIM, 'invited a prospect to the internal "Budget"', _invite_prospect),
        Edit(ANDY, 'moved the series "Pipeline review" by an hour', _move_series),
        Edit(PAM, 'renamed the internal "Budget"', _rename, "internal titles never leave Google"),
        Edit(JIM, f'made "Contract {stone}" private', _make_private),
        Edit(ANDY, f'deleted "Pricing {blau}"', _delete),
        Edit(PAM, "declined a prospect's invitation", _decline),
        Edit(JIM, f'moved "Check-in {lackawanna}", this and following', _move_following),
    )


def _names() -> tuple[str, str, str, str]:
    (vance, _), (lackawanna, stone), (blau, _) = (
        [name for name, _ in PROSPECTS[seller.name]] for seller in (PAM, JIM, ANDY)
    )
    return vance, lackawanna, stone, blau


async def _book_pitch(office: Office) -> str:
    (name, contact), _ = PROSPECTS[PAM.name]
    return await office.control.act(
        PAM, "create", summary=f"Pitch {name}", start=office.at(PAM, 2, 10),
        attendees=[contact], conference=True,
    )  # fmt: skip


async def _book_in_salesloft(office: Office) -> str:
    (name, contact), _ = PROSPECTS[PAM.name]
    start = datetime.fromisoformat(office.at(PAM, 3, 15))
    return await office.control.book(
        PAM, start, start + timedelta(minutes=30), contact, title=f"Intro {name}"
    )


async def _reschedule(office: Office) -> str:
    start = office.at(JIM, 1, 16)
    return await office.control.act(
        JIM, "move_in_time", event_id=office.filled[JIM]["demo"], start=start
    )


async def _book_private(office: Office) -> str:
    start = office.at(ANDY, 3, 15)
    return await office.control.act(
        ANDY, "create", summary="Notary", start=start, visibility="private", location="Main Street"
    )


async def _cancel_one(office: Office) -> str:
    occurrence = (await office.coming(PAM, "checkin"))[1]
    return await office.control.act(PAM, "cancel_one", event_id=occurrence["id"])


async def _invite_prospect(office: Office) -> str:
    _, (_, contact) = PROSPECTS[JIM.name]
    return await office.control.act(
        JIM, "add_guest", event_id=office.filled[JIM]["budget"], guest=contact
    )


async def _move_series(office: Office) -> str:
    start = office.at(ANDY, -30, 10)
    return await office.control.act(
        ANDY, "edit_all", event_id=office.filled[ANDY]["review"], start=start
    )


async def _rename(office: Office) -> str:
    return await office.control.act(
        PAM, "edit_one", event_id=office.filled[PAM]["budget"], summary="Budget cuts"
    )


async def _make_private(office: Office) -> str:
    return await office.control.act(
        JIM, "set_visibility", event_id=office.filled[JIM]["contract"], visibility="private"
    )


async def _delete(office: Office) -> str:
    return await office.control.act(ANDY, "cancel_all", event_id=office.filled[ANDY]["pricing"])


async def _decline(office: Office) -> str:
    return await office.control.act(
        PAM, "rsvp", event_id=office.filled[PAM]["invitation"], response="declined"
    )


async def _move_following(office: Office) -> str:
    occurrence = (await office.coming(JIM, "checkin"))[4]
    start = datetime.fromisoformat(occurrence["start"]) + timedelta(hours=1)
    return await office.control.act(
        JIM, "edit_following", event_id=occurrence["id"], start=start.isoformat()
    )
