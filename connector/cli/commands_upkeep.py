"""Declares the commands that look after the state and the installation."""

from __future__ import annotations

import typer

app = typer.Typer()
