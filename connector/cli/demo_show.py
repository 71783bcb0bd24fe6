"""What the demo shows: with colours and a moving line on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text


class Show:
    """Prints lines as they come. The styles are rich's names."""

    def __init__(self) -> None:
        self._console = Console(highlight=False) if sys.stdout.isatty() else None

    def line(self, text: str = "", style: str = "") -> None:
        self.parts((text, style))

    def heading(self, text: str) -> None:
        self.line()
        self.line(text, "bold")

    def parts(self, *parts: tuple[str, str]) -> None:
        """One line of texts with their styles."""
        if self._console is None:
            print("".join(text for text, _ in parts), flush=True)  # noqa: T201  # the command's answer
        else:
            self._console.print(Text.assemble(*parts), soft_wrap=True)

    def event(self, seller: str, done: str, outcome: str, style: str) -> None:
        """What a seller did just now, and what became of it."""
        clock = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        self.parts(
            (f"{clock}  ", "dim"), (f"{seller:<6}", "bold"), (f"{done} → ", ""), (outcome, style)
        )

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say what is waited for, where a line can be taken back again."""
        if self._console is None:
            yield
            return
        with self._console.status(Text(text, style="dim")):
            yield
