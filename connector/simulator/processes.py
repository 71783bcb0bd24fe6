"""Serves the simulators on loopback: inside a test (`serve`), or as a process of its own (`main`).

`python -m connector.simulator.processes google|salesloft --port 0` prints exactly one line on stdout,
`READY http://127.0.0.1:PORT`, and serves until SIGTERM or SIGINT. `--world FILE.json` says what exists at the start
(every key is optional):

    {"google": {"calendars": [{"email": "pam@example.com", "time_zone": "America/New_York"}],
                "authorized_users": ["pam@example.com"], "push": {"allow_http": true, "loss": 0.1}},
     "salesloft": {"teams": [{"key": "…", "limit_per_minute": 600, "manage_team": true,
                              "users": [{"email": "pam@example.com", "guid": "…", "calendar_type": "external"}]}],
                   "switches": {"bulk_seconds_per_record": 0.01}, "costs": {"events.list": 2}}}
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from connector.simulator.salesloft import SalesloftWorld, make_salesloft_app

Service = Literal["google", "salesloft"]

SHUTDOWN_SECONDS = 0.2
"""How long a stopping server waits for answers that still run; hanging ones are cancelled then."""
_PAM = "pam.beesly@example.com"
_DEFAULT_WORLD: dict[str, Any] = {
    "google": {"calendars": [{"email": _PAM, "time_zone": "America/New_York"}]},
    "salesloft": {
        "teams": [
            {
                "key": "simulated-key",
                "users": [{"email": _PAM, "guid": "00210d1a-df8a-459f-af75-89b953b618b0"}],
            }
        ]
    },
}


class PortUnusable(Exception):
    """A server cannot listen where it was asked to; the message says where, why and what to do."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """One service, ready to be served, and its clients' credentials by the name of the file that they belong in."""

    app: web.Application
    credentials: dict[str, Any]
    listening: Callable[[str], None]
    """To be told the address, once it is known: Google's goes into credentials."""


@asynccontextmanager
async def serve(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app` while the block runs; gives its base URL without a final slash. Port 0: a free one.

    Raises `PortUnusable`.
    """
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise _port_unusable(host, port, error) from error
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _port_unusable(host: str, port: int, error: OSError) -> PortUnusable:
    why = f"cannot be used ({os.strerror(error.errno or 0)})"
    if error.errno == errno.EADDRINUSE:
        why = "is in use by another program"
    return PortUnusable(f"port {port} of {host} {why}; choose another one, or 0 for any free one")


def make_salesloft_world(described: dict[str, Any], seed: int) -> SalesloftWorld:
    """The world that a file's `salesloft` table describes."""
    world = SalesloftWorld(seed=seed)
    for team in described.get("teams", []):
        key, users = team["key"], team.get("users", [])
        world.add_team(**{name: team[name] for name in team if name != "users"})
        for user in users:
            world.add_user(key, **user)
    for name, value in described.get("switches", {}).items():
        if not hasattr(world.switches, name):
            raise ValueError(f"unknown switch {name}")
        setattr(world.switches, name, value)
    world.costs.update(described.get("costs", {}))
    return world


def simulate(service: Service, described: dict[str, Any], seed: int) -> Simulator:
    """A simulator of the world that is `described`, as a file's table of that service describes it."""
    if service == "salesloft":
        world = make_salesloft_world(described, seed)
        keys = list(world.keys)
        named = {f"salesloft-{number}.key": key for number, key in enumerate(keys[1:], 2)}
        credentials = {"salesloft.key": keys[0], **named} if keys else {}
        return Simulator(make_salesloft_app(world), credentials, lambda _: None)
    return _simulate_google(described, seed)


def _simulate_google(described: dict[str, Any], seed: int) -> Simulator:
    # Late: the Salesloft process needs none of it.
    from connector.simulator.google import GoogleWorld, make_google_app

    world = GoogleWorld(seed=seed)
    for calendar in described.get("calendars", []):
        email = calendar["email"]
        world.add_calendar(email, **{name: calendar[name] for name in calendar if name != "email"})
    world.push.adjust(**described.get("push", {}))
    credentials: dict[str, Any] = {"google.json": world.add_service_account()}
    for email in described.get("authorized_users", []):
        credentials[f"google-{email}.json"] = world.add_authorized_user(email)
    return Simulator(
        make_google_app(world), credentials, lambda url: setattr(world, "base_url", url)
    )


def credential_files(simulator: Simulator, url: str) -> dict[str, str]:
    """Each client's file by its name; Google's name this simulator's `/token`."""
    files = {}
    for name, content in simulator.credentials.items():
        text = content
        if isinstance(content, dict):
            text = json.dumps({**content, "token_uri": f"{url}/token"}, indent=2)
        files[name] = f"{text}\n"
    return files


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in place of an older one."""
    path.unlink(missing_ok=True)
    # Created with its mode, never opened wider for a moment.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The process: 0 when it was asked to stop, 1 if it cannot listen."""
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_run(options))
    except PortUnusable as unusable:
        sys.stderr.write(f"simulated {options.service}: {unusable}\n")
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    described = _DEFAULT_WORLD
    if options.world is not None:
        described = json.loads(options.world.read_text())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    simulator = simulate(options.service, described.get(options.service, {}), options.seed)
    async with serve(simulator.app, port=options.port) as url:
        simulator.listening(url)
        if options.credentials_dir is not None:
            options.credentials_dir.mkdir(parents=True, exist_ok=True)
            for name, text in credential_files(simulator, url).items():
                write_secret(options.credentials_dir / name, text)
        sys.stdout.write(f"READY {url}\n")
        sys.stdout.flush()
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m connector.simulator.processes",
        description="Serve a simulated Google Calendar or Salesloft on loopback.",
    )
    parser.add_argument("service", choices=("google", "salesloft"))
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", type=Path, help="a JSON file with what exists at the start")
    parser.add_argument(
        "--credentials-dir", type=Path, help="where to write the clients' credentials files"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
