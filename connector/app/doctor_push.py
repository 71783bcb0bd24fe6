"""Looks at push for `doctor`: a POST to each address as anybody could send it, and what the state knows of channels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import aiohttp

from connector.app.clock import Clock
from connector.app.opening import state_place
from connector.domain.errors import ConnectorError
from connector.settings.model import Settings, UserSettings
from connector.store import State, open_reader
from connector.store.channels import Standing, standing_of
from connector.sync.checks import Check
from connector.sync.checks.push import AddressSeen, judge_address, judge_channel


async def pushing(
    settings: Settings, users: Sequence[UserSettings], patience: float, clock: Clock
) -> list[Check]:
    """The checks of those who want notifications; none for nobody."""
    wanting = [user for user in users if user.google.push.address is not None]
    if not wanting:
        return []
    addresses = sorted({user.google.push.address or "" for user in wanting})
    seen = await asyncio.gather(*(_called(address, patience) for address in addresses))
    listen = settings.process.push_listen
    checks = [judge_address(a, s, listen) for a, s in zip(addresses, seen, strict=True)]
    standings = await _standings(settings, wanting, clock)
    return checks + [
        judge_channel(f"user {user.name}", standings.get(user.name)) for user in wanting
    ]


async def _called(address: str, patience: float) -> AddressSeen:
    """What is no notification is taken in like one, and changes nothing."""
    timeout = aiohttp.ClientTimeout(total=patience)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(address, allow_redirects=False) as answer,
        ):
            return AddressSeen(answer.status)
    except aiohttp.ClientConnectorCertificateError as error:
        return AddressSeen(
            certificate=getattr(error.certificate_error, "verify_message", "invalid")
        )
    except TimeoutError:
        return AddressSeen(problem=f"not within {patience:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return AddressSeen(problem=type(error).__name__)


async def _standings(
    settings: Settings, users: Sequence[UserSettings], clock: Clock
) -> dict[str, Standing]:
    try:
        state = State(await asyncio.to_thread(open_reader, state_place(settings)))
    except ConnectorError:
        return {}  # the checks of the state say why
    try:
        rows = {row.user_guid: row.id for row in await state.calendars()}
        return {
            user.name: await state.run(
                partial(standing_of, calendar=rows[user.salesloft.user_guid], now=clock())
            )
            for user in users
            if user.salesloft.user_guid in rows
        }
    finally:
        state.close()
