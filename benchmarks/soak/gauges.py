"""What is measured of the daemon: by Linux from outside, and by its own /metrics."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

COLUMNS = "{:>6} {:>8} {:>8} {:>4} {:>8} {:>6} {:>8} {:>8} {:>8} {:>7} {:>6} {:>6}"
TITLE = COLUMNS.format(
    *("min", "RSS KiB", "anon KiB", "fds", "threads", "CPU %", "db KiB", "wal KiB", "backlog"),
    *("points", "dead", "edits"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """How the daemon stands at one moment."""

    minute: float
    rss: int
    """KiB, shared pages and mapped files included."""
    anonymous: int
    """KiB of its own."""
    descriptors: int
    threads: int
    cpu: float
    """Percent of one core since the sample before."""
    database: int
    log_ahead: int
    backlog: int
    points: int
    dead_letters: int
    edits: int

    def line(self) -> str:
        return COLUMNS.format(
            *(f"{self.minute:.2f}", self.rss, self.anonymous, self.descriptors, self.threads),
            *(f"{self.cpu:.0f}", self.database, self.log_ahead, self.backlog, self.points),
            *(self.dead_letters, self.edits),
        )


class Gauges:
    """Takes samples of one process; `samples` has all of them."""

    def __init__(self, pid: int, state: Path, site: Site) -> None:
        self.samples: list[Sample] = []
        self._pid = pid
        self._state = state
        self._site = site
        self._began = time.monotonic()
        self._last = (self._began, cpu_seconds(pid))

    async def take(self, edits: int) -> Sample:
        metrics = (await self._site.get("metrics")).decode()
        status = Path(f"/proc/{self._pid}/status").read_text()  # noqa: ASYNC240  # /proc does not block
        now, used = time.monotonic(), cpu_seconds(self._pid)
        before, used_before = self._last
        self._last = (now, used)
        sample = Sample(
            minute=(now - self._began) / 60,
            rss=_field(status, "VmRSS"),
            anonymous=_field(status, "RssAnon"),
            descriptors=len(os.listdir(f"/proc/{self._pid}/fd")),
            threads=_field(status, "Threads"),
            cpu=100 * (used - used_before) / max(now - before, 0.001),
            database=_kib(self._state),
            log_ahead=_kib(self._state.with_name(self._state.name + "-wal")),
            backlog=total(metrics, "backlog"),
            points=total(metrics, "points_spent"),
            dead_letters=total(metrics, "dead_letters"),
            edits=edits,
        )
        self.samples.append(sample)
        return sample


class Site:
    """The daemon's listener, asked with its token."""

    def __init__(self, http: aiohttp.ClientSession, port: int, token: str) -> None:
        self._http = http
        self._url = f"http://127.0.0.1:{port}/"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str) -> bytes:
        async with self._http.get(self._url + path, headers=self._headers) as answer:
            return await answer.read()


def total(metrics: str, name: str) -> int:
    """The sum of a gauge over its labels."""
    values = re.findall(rf"^gcal_salesloft_{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
    return round(sum(map(float, values)))


def cpu_seconds(process: int) -> float:
    """What a process took of the processors so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(samples: Sequence[Sample]) -> float:
    """KiB of own memory a minute, by least squares."""
    count = len(samples)
    middle = sum(one.minute for one in samples) / count
    level = sum(one.anonymous for one in samples) / count
    spread = sum((one.minute - middle) ** 2 for one in samples)
    return sum((one.minute - middle) * (one.anonymous - level) for one in samples) / spread


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def _kib(path: Path) -> int:
    return path.stat().st_size // 1024 if path.exists() else 0
