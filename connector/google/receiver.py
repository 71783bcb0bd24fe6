"""Takes in Google's notifications over HTTP. It can be reached from the internet, and so it shows nothing.

Every POST to the right path gets 204 at once, whatever it says: who forges one learns nothing by the answer, nor by the
time it takes, and Google repeats nothing (it repeats after 500, 502, 503 and 504 only). 503 means that nothing more can
be taken in now; then Google comes again, and so does everybody else. No body is read: Google sends none.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from connector.domain.push import Notification
from connector.google.channels import read_notification

PATH = "/google/notifications"
"""Where notifications arrive, whatever else the configured addresses say."""
LONGEST_LINE, LONGEST_FIELD, MOST_FIELDS = 2048, 4096, 64
KEEP_ALIVE_SECONDS = 30.0

Take = Callable[[Notification | None], bool]
"""Takes in what came (None: a POST that is no notification); False if there is no room for more now."""


def make_receiver(takes: Callable[[str], bool], take: Take) -> web.ServerRunner:
    """The server, not yet listening. `takes` tells whether a path is one of the addresses', as they are now."""

    async def receive(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST" or not takes(request.path):
            return _bare(404)
        answer = _bare(204 if take(read_notification(request.headers)) else 503)
        if request.can_read_body:
            answer.force_close()  # not Google's; what it sends is not waited for
        return answer

    server = _Server(
        receive,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        lingering_time=0.0,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_FIELD,
        max_headers=MOST_FIELDS,
    )
    return web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)


def _bare(status: int) -> web.Response:
    return web.Response(status=status, headers={"Server": "-"})


class _Protocol(RequestHandler):
    """aiohttp's own, but what is no HTTP is told neither why nor by which program."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        answer = _bare(status)
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)
