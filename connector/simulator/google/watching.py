"""events.watch and channels.stop (reference 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from .bodies import read_body
from .call import Call
from .errors import invalid, refusal
from .parameters import events_query
from .push import Channel, resource_id_of, resource_uri_of
from .times import micros
from .tokens import BadTokenError, read_sync_token

_ID = re.compile(r"[A-Za-z0-9\-_+/=]{1,64}")
_LONGEST_TOKEN = 256
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NO_PART = frozenset(
    {"alt", "fields", "key", "access_token", "oauth_token", "prettyPrint", "quotaUser"}
)


async def watch_events(call: Call) -> dict[str, Any]:
    """events.watch: a channel for the changes of one calendar."""
    calendar, _ = call.calendar()
    push, now = call.world.push, call.world.now()
    query = events_query(call.query, calendar.id)
    if query.sync_token is not None:
        try:
            read_sync_token(query.sync_token, calendar.id, calendar.epoch)
        except BadTokenError:
            raise invalid("syncToken") from None
    body = await read_body(call.request)
    if calendar.id in push.unsupported:
        message = "Push notifications are not supported by this resource."
        raise refusal(400, "pushNotSupportedForRequestedResource", message)
    channel_id, address, token = _checked(call, body)
    if channel_id in push.channels:
        raise refusal(400, "channelIdNotUnique", f"Channel id {channel_id} not unique")
    parameters = [(k, v) for k, v in call.query.items() if k not in _NO_PART]
    channel = Channel(
        id=channel_id,
        calendar_id=calendar.id,
        address=address,
        token=token,
        account=call.principal.account,
        project=call.principal.project,
        resource_id=resource_id_of(calendar.id, parameters),
        resource_uri=resource_uri_of(call.world.base_url, call.request.match_info["calendar"]),
        expires=_expires(body, now, push.lifetime),
    )
    push.channels[channel.id] = channel
    await push.synchronise(channel)
    shown = {
        "kind": "api#channel",
        "id": channel.id,
        "resourceId": channel.resource_id,
        "resourceUri": channel.resource_uri,
        "expiration": str(micros(channel.expires) // 1000),
    }
    return shown if token is None else {**shown, "token": token}


async def stop_channel(call: Call) -> None:
    """channels.stop: by the same client only; 204 without a body."""
    body = await read_body(call.request)
    for name in ("id", "resourceId"):
        if not body.get(name):
            raise refusal(400, "required", f"Missing {name}.")
    channel = call.world.push.channels.get(str(body["id"]))
    who = call.principal
    known = (
        channel is not None
        and channel in call.world.push.live()
        and channel.resource_id == body["resourceId"]
        and (channel.account, channel.project) == (who.account, who.project)
    )
    if channel is None or not known:
        message = f"Channel '{body['id']}' not found for project '{who.project}'"
        raise refusal(404, "notFound", message)
    channel.stopped = True


def _checked(call: Call, body: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Id, address and token of a body, each as Google wants it."""
    channel_id, address, token = body.get("id"), body.get("address"), body.get("token")
    if not channel_id:
        raise refusal(400, "required", "Missing id.")
    if not isinstance(channel_id, str) or not _ID.fullmatch(channel_id):
        raise invalid("id")
    if body.get("type") not in ("web_hook", "webhook"):
        raise refusal(
            400, "required" if not body.get("type") else "invalid", "Unknown channel type."
        )
    if not isinstance(address, str) or not address:
        raise refusal(400, "required", "Missing address.")
    if token is not None and (not isinstance(token, str) or len(token) > _LONGEST_TOKEN):
        raise invalid("token")
    push = call.world.push
    parts = urlsplit(address)
    loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK and push.allow_http
    if parts.scheme != "https" and not loopback:
        message = f"WebHook callback must be HTTPS: {address}"
        raise refusal(400, "push.webhookUrlNotHttps", message)
    if address in push.unauthorized:
        message = f"Unauthorized WebHook callback channel: {address}"
        raise refusal(push.refusal_status, "push.webhookUrlUnauthorized", message)
    return channel_id, address, token


def _expires(body: Mapping[str, Any], now: datetime, most: timedelta) -> datetime:
    """What was asked for by `params.ttl` (seconds) or `expiration` (ms), at most the channel's longest life."""
    parameters = body.get("params") or {}
    ttl, until = parameters.get("ttl"), body.get("expiration")
    wanted = now + most
    if ttl is not None:
        if not str(ttl).isdigit() or int(ttl) < 1:
            raise invalid("params.ttl")
        wanted = now + timedelta(seconds=min(int(ttl), 10**9))
    elif until is not None:
        if not str(until).isdigit() or int(until) > 10**14:
            raise invalid("expiration")
        wanted = datetime.fromtimestamp(int(until) / 1000, UTC)
        if wanted <= now:
            raise invalid("expiration")
    return min(wanted, now + most)
