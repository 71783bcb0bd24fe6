"""The command line: one module per command. Parses, calls, prints; every decision is made elsewhere.

`commands` declares them all and turns errors into exit statuses (`exits`); the modules named like the commands do the
work, and are loaded only when they are called.
"""

from connector.cli.commands import main

__all__ = ["main"]
