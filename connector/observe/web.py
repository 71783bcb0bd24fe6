"""The listener: /metrics, /healthz, /readyz and the status page. Answers GET and HEAD only, so nothing here acts.

Loopback needs no token but checks `Host`, or any web page could read this one by giving its own name this machine's
address (DNS rebinding). Elsewhere a token is asked for, as `Bearer`, or by browsers as the password of HTTP Basic.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.resources import files
from time import monotonic
from typing import Any

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from connector.observe.board import Board
from connector.observe.health import Health, Verdict
from connector.observe.history import History
from connector.observe.metrics import Exposed, Metrics
from connector.observe.page import Shown, event_page, status_page

Explain = Callable[[str, str], Awaitable[Any]]
"""What is known of a user's event (name, id), as a JSON-able structure; None if nothing is."""
EXPLAIN_SECONDS = 10.0
_OPEN = frozenset({"/healthz", "/readyz"})
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
_STATIC = {
    "status.css": "text/css; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Server": "gcal-salesloft",
}


@dataclass(slots=True)
class Site:
    """What the routes show. `board` and `explain` come when the parts are there; `token` None: none is asked for."""

    host: str
    version: str
    metrics: Metrics
    health: Health
    token: Callable[[], str] | None = None
    board: Board | None = None
    explain: Explain | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = monotonic
    static: Mapping[str, bytes] = field(default_factory=lambda: _static())


def make_app(site: Site) -> web.Application:
    """The application of one site."""
    app = web.Application(middlewares=[_guard(site)])
    routes = _Routes(site)
    app.router.add_route("*", "/", routes.status)
    app.router.add_route("*", "/metrics", routes.metrics)
    app.router.add_route("*", "/healthz", routes.healthz)
    app.router.add_route("*", "/readyz", routes.readyz)
    app.router.add_route("*", "/events", routes.event)
    app.router.add_route("*", "/robots.txt", routes.robots)
    app.router.add_route("*", "/static/{name}", routes.static)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers[name] = value


def _guard(site: Site) -> Any:
    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(
                status=405, text="only GET and HEAD\n", headers={"Allow": "GET, HEAD"}
            )
        if is_loopback(site.host) and not _is_own_name(request.headers.get("Host", ""), site.host):
            return web.Response(status=421, text="this listener goes by another name\n")
        if site.token is not None and request.path not in _OPEN and not _has_token(request, site):
            return web.Response(
                status=401,
                text="a token is needed: see [observability] token_file in docs/configuration.md\n",
                headers={"WWW-Authenticate": 'Basic realm="gcal-salesloft", charset="UTF-8"'},
            )
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n")

    return guard


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host's address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_own_name(header: str, host: str) -> bool:
    name = header.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif ":" in name:
        name = name.rpartition(":")[0]
    return name in _LOOPBACK_NAMES or name == host.lower()


def _has_token(request: web.Request, site: Site) -> bool:
    assert site.token is not None
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip()
    if kind.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    # Of digests, so that not even the length shows in the time it takes.
    wanted = sha256(site.token().encode()).digest()
    return hmac.compare_digest(sha256(token.encode("utf-8", "replace")).digest(), wanted)


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def metrics(self, _: web.Request) -> web.Response:
        if self._site.board is not None:
            await self._site.board.fresh()
        return web.Response(
            body=generate_latest(Exposed(self._site.metrics.registry)),
            headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4},
        )

    async def healthz(self, _: web.Request) -> web.Response:
        return self._judged(self._site.health.alive())

    async def readyz(self, _: web.Request) -> web.Response:
        return self._judged(self._site.health.ready())

    def _judged(self, verdict: Verdict) -> web.Response:
        return web.json_response(
            verdict.body(self._site.version), status=200 if verdict.is_good else 503
        )

    async def status(self, _: web.Request) -> web.Response:
        if self._site.board is not None:
            await self._site.board.fresh()
        return _page(status_page(self._shown()))

    async def event(self, request: web.Request) -> web.Response:
        explain, user = self._site.explain, request.query.get("user", "")
        event_id = request.query.get("id", "").strip()[:1024]
        if explain is None:
            return web.Response(status=404, text="Not Found\n")
        if self._site.board is not None:
            await self._site.board.fresh()
        shown = self._shown()
        if user not in self._names(shown):
            return _page(event_page(shown, "", event_id, None, "There is no such user."), 404)
        if not event_id:
            return _page(event_page(shown, user, "", None, "Which event? Give its id."), 400)
        answer, problem, status = None, "", 200
        try:
            async with asyncio.timeout(EXPLAIN_SECONDS):
                answer = await explain(user, event_id)
        except Exception:  # whatever it is, it is another's; the command tells more
            problem, status = "It cannot be explained now: try `gcal-salesloft explain`.", 503
        if answer is None and not problem:
            problem, status = "Nothing is known of this event.", 404
        return _page(event_page(shown, user, event_id, answer, problem), status)

    async def robots(self, _: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nDisallow: /\n")

    async def static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._site.static:
            return web.Response(status=404, text="Not Found\n")
        return web.Response(body=self._site.static[name], headers={"Content-Type": _STATIC[name]})

    def _shown(self) -> Shown:
        site = self._site
        board = site.board
        now, clock = site.now(), site.clock()
        return Shown(
            snapshot=board.latest if board else None,
            age=board.age if board else None,
            history=board.history if board else History(),
            version=site.version,
            now=now,
            turns={
                user: now - timedelta(seconds=clock - at)
                for user, (at, result) in site.metrics.turns.items()
                if result in ("quiet", "changed", "full")
            },
            explains=site.explain is not None,
        )

    @staticmethod
    def _names(shown: Shown) -> Collection[str]:
        return {user.name for user in shown.snapshot.users} if shown.snapshot else ()


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")


def _static() -> Mapping[str, bytes]:
    folder = files("connector.observe") / "static"
    return {name: (folder / name).read_bytes() for name in _STATIC}
