"""The service manager's protocol: readiness, status text and watchdog over `NOTIFY_SOCKET` (see sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """Tells systemd how the service fares; does nothing where no manager listens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog = 0.0
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            self._watchdog = int(environment.get("WATCHDOG_USEC") or 0) / 1_000_000

    @property
    def watchdog_seconds(self) -> float:
        """How long the manager waits for a sign of life; 0.0 if it does not."""
        return self._watchdog

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, status: str) -> None:
        """A reload begins; `ready` ends it. Debian 12's systemd 252 needs no more: `notify-reload` came with 253.

        The moment is CLOCK_MONOTONIC's in microseconds, by which the manager tells this reload from an earlier one.
        """
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={moment}\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.connect(address)
                notify.sendall(message.encode())
        except OSError:
            # A manager that went away must not take the service with it; its watchdog decides.
            return
