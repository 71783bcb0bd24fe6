"""Declares the commands about people who leave: offboard, erase."""

from __future__ import annotations

import typer

app = typer.Typer()
