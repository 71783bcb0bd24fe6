"""What the service tells its manager, byte by byte (sd_notify(3))."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.observe.systemd import ServiceManager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        yield manager


@pytest.fixture
def service(listener: socket.socket) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": str(listener.getsockname())})


def test_a_reload_names_its_moment(service: ServiceManager, listener: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.reloading("reading the configuration")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    said = listener.recv(4096).decode()
    match = re.fullmatch(
        r"RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=reading the configuration", said
    )
    assert match is not None
    assert before <= int(match[1]) <= after


def test_a_reload_ends_by_being_ready(service: ServiceManager, listener: socket.socket) -> None:
    service.ready("2 users")
    assert listener.recv(4096) == b"READY=1\nSTATUS=2 users"


def test_without_a_manager_nothing_is_told() -> None:
    ServiceManager({}).reloading("alone")


def test_a_manager_that_is_gone_takes_nobody_with_it(
    service: ServiceManager, listener: socket.socket
) -> None:
    listener.close()
    service.reloading("nobody listens")
