"""Writes the manual page `gcal-salesloft(1)` from the command line itself: `make man`.

The commands, their options and their help are the program's own; the exit statuses are README's table. Only what
neither knows (files, environment, signals) is written here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

import connector
from connector.cli.commands import app

ROOT = Path(__file__).parents[1]
_NOT_SHOWN = {"--install-completion", "--show-completion"}
_FILES = {
    "/etc/gcal-salesloft/connector.toml": "The defaults of every user, and the settings of the process.",
    "/etc/gcal-salesloft/users/*.toml": "One file a user; the user's name is the file's stem.",
    "/etc/gcal-salesloft/google.json, /etc/gcal-salesloft/salesloft.key": (
        "Google's credentials and Salesloft's API key. Mode 0600: a secret that others can read is an error."
    ),
    "/var/lib/gcal-salesloft/state.db": (
        "The state: sync tokens, what Salesloft accepted, what waits. One process at a time runs on it; "
        "commands that only read work beside it."
    ),
    "/usr/share/doc/gcal-salesloft/": "The documents, and examples of a configuration.",
}
_ENVIRONMENT = {
    "CREDENTIALS_DIRECTORY": (
        "Where the files named by credentials_credential and api_key_credential are; systemd sets it for the "
        "service. By hand: /etc/gcal-salesloft."
    ),
    "STATE_DIRECTORY": "Where the state is unless [state] url names it; systemd sets it for the service.",
    "NOTIFY_SOCKET, WATCHDOG_USEC": "Set by systemd: readiness, status and signs of life go there.",
    "NO_COLOR": "Set to anything: help and progress come without colours.",
}
_SIGNALS = {
    "SIGTERM, SIGINT": (
        "Stop: no new work is begun, requests that were sent are finished within 10 seconds, the rest waits in "
        "the state. Exit status 0 of the daemon."
    ),
    "SIGHUP": "To the daemon: read the configuration anew, as systemctl reload does.",
    "SIGKILL": "Loses nothing: the next start goes on from the last commit.",
}
_EXAMPLES = {
    "gcal-salesloft check-config /etc/gcal-salesloft": "Name every mistake of a configuration.",
    "gcal-salesloft run --config /etc/gcal-salesloft --initial-sync --dry-run": (
        "Show what a first synchronisation would send and by which rule; send nothing."
    ),
    "gcal-salesloft status --config /etc/gcal-salesloft": "How each user stands.",
    "gcal-salesloft demo": "See it at work, without an account.",
}


def main() -> None:
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(connector.__version__))
    print(f"{target}: read it with  man -l {target}")


def page(version: str) -> str:
    """The whole page, in roff with the man macros."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    lines = [
        f'.TH GCAL-SALESLOFT 1 "" "gcal-salesloft {escaped(version)}" "User Commands"',
        ".SH NAME",
        r"gcal-salesloft \- keep Salesloft's external calendars true to Google Calendar",
        ".SH SYNOPSIS",
        r".B gcal-salesloft",
        r"\fICOMMAND\fR [\fIOPTION\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(
            "Polls each user's Google calendar with sync tokens, expands recurring meetings, decides by policy what "
            "may leave the company, and upserts each occurrence into Salesloft within the team's budget.\n\n"
            "PATH is one user's TOML file, or a directory with connector.toml and users/*.toml. Answers go to "
            "standard output, logs and errors to standard error. With --json nothing but JSON is printed."
        ),
        ".SH OPTIONS",
        *_options(group),
        ".SH COMMANDS",
    ]
    for path, command in _commands(group):
        lines += [f".SS {_bold(' '.join(path))}{_arguments(command)}"]
        lines += [*_paragraphs(command.help or ""), *_options(command)]
    lines += [
        *_terms("EXIT STATUS", dict(_exit_statuses())),
        *_terms("SIGNALS", _SIGNALS),
        *_terms("FILES", _FILES),
        *_terms("ENVIRONMENT", _ENVIRONMENT),
        *_terms("EXAMPLES", _EXAMPLES),
        ".SH SEE ALSO",
        r".BR systemctl (1),",
        r".BR journalctl (1),",
        r".BR systemd.exec (5)",
        ".PP",
        *_paragraphs(
            "In /usr/share/doc/gcal-salesloft: setup.md, configuration.md (every setting), operations.md, "
            "troubleshooting.md (by symptom)."
        ),
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that roff shows as it is: no escape, no request, hyphens that can be copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def _commands(
    group: TyperGroup, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, as typed; a group's own help is its subcommands'."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*above, name))
        elif not command.hidden:
            yield (*above, name), command


def _arguments(command: Any) -> str:
    names = [
        parameter.metavar or parameter.name.upper()
        for parameter in command.params
        if parameter.param_type_name == "argument" and not parameter.hidden
    ]
    return "".join(rf" \fI{escaped(name)}\fR" for name in names)


def _options(command: Any) -> list[str]:
    lines = []
    for parameter in command.params:
        hidden = getattr(parameter, "hidden", False) or set(parameter.opts) & _NOT_SHOWN
        if hidden:
            continue
        if parameter.param_type_name == "argument":
            if parameter.help:
                name = parameter.metavar or parameter.name.upper()
                lines += [".TP", rf"\fI{escaped(name)}\fR", *_text(parameter.help)]
            continue
        names = ", ".join(_bold(name) for name in (*parameter.opts, *parameter.secondary_opts))
        if not parameter.is_flag:
            value = parameter.metavar or parameter.name.upper()
            names += rf" \fI{escaped(value)}\fR"
        says = parameter.help or ""
        if parameter.required:
            says += " Required."
        elif not parameter.is_flag and parameter.default not in (None, ""):
            says += f" Default: {parameter.default}."
        lines += [".TP", names, *_text(says)]
    return lines


def _exit_statuses() -> Iterator[tuple[str, str]]:
    """README's table, so that both say the same."""
    section = (ROOT / "README.md").read_text().split("\n## Exit statuses\n")[1].split("\n## ")[0]
    for status, meaning in re.findall(r"^\| (\d+) \| (.*?) \|$", section, re.MULTILINE):
        yield status, f"{meaning[0].upper()}{meaning[1:]}."
    yield "130, 141", "Interrupted; its output was closed."


def _terms(heading: str, terms: dict[str, str]) -> list[str]:
    lines = [f".SH {heading}"]
    for term, says in terms.items():
        lines += [".TP", _bold(term), *_text(says)]
    return lines


def _paragraphs(text: str) -> list[str]:
    """Prose; blank lines part paragraphs."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines += [".PP", *_text(paragraph)]
    return lines


def _text(text: str) -> list[str]:
    return [escaped(" ".join(text.replace("`", "").split()))] if text.strip() else []


def _bold(text: str) -> str:
    return rf"\fB{escaped(text)}\fR"


if __name__ == "__main__":
    main()
