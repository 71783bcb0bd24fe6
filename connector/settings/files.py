"""Reads what `--config` names, one user's file or a directory, and finds every mistake of every file at once.

Layout: `DIR/connector.toml` (optional: defaults of every user, and the process's settings) and `DIR/users/*.toml`, one
a user. A single file is complete on its own; where it lies in a folder `users` beside a `connector.toml`, that file's
defaults apply, so that one user can be run or checked alone.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from connector.domain.errors import ConfigurationInvalid, ConfigurationMistake
from connector.domain.model import UserGuid
from connector.settings.layer import Layer, read_layer, reason
from connector.settings.model import BrokenUser, ProcessSettings, Settings, UserTemplate
from connector.settings.process import misplaced, process_mistakes, process_settings
from connector.settings.roster import misplaced_mode, template_of
from connector.settings.sources import Sources, read_sources
from connector.settings.users import Origin, UserDraft, draft_of

DEFAULTS = "connector.toml"
USERS = "users"


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was found. `fatal` concerns no single user: connector.toml, or the path itself."""

    process: ProcessSettings
    drafts: tuple[UserDraft, ...] = ()
    fatal: tuple[ConfigurationMistake, ...] = ()
    files: frozenset[Path] = frozenset()
    """Everything that was read, or should have been: what changes there changes the settings."""
    template: UserTemplate | None = None
    """Set if users need no file."""
    finds_users: bool = False
    """connector.toml says so, be it with mistakes."""

    @property
    def mistakes(self) -> tuple[ConfigurationMistake, ...]:
        """Each once, connector.toml's first; one in the defaults may show with several users."""
        of_users = (mistake for draft in self.drafts for mistake in draft.mistakes)
        return tuple(dict.fromkeys((*self.fatal, *of_users)))


def load_settings(path: Path, *, env: Mapping[str, str] = os.environ) -> Settings:
    """The settings that `path` names. Users with mistakes are in `broken`; the others are served.

    Raises `ConfigurationInvalid` with every mistake if connector.toml has one, or if no user is valid.
    """
    reading = read_settings(path, env=env)
    settings = settings_of(reading)
    if reading.fatal or not (settings.users or settings.template):
        raise ConfigurationInvalid(reading.mistakes)
    return settings


def settings_of(reading: Reading) -> Settings:
    """What can be used of what was read; a reading with fatal mistakes is not to be used at all."""
    return Settings(
        process=reading.process,
        users=tuple(draft.settings for draft in reading.drafts if draft.settings is not None),
        broken=tuple(
            BrokenUser(draft.name, draft.file, draft.mistakes)
            for draft in reading.drafts
            if draft.settings is None
        ),
        template=reading.template,
    )


def check_all(
    path: Path, *, env: Mapping[str, str] = os.environ
) -> tuple[ConfigurationMistake, ...]:
    """Every mistake of every file; empty if all is well."""
    return read_settings(path, env=env).mistakes


def read_settings(path: Path, *, env: Mapping[str, str] = os.environ) -> Reading:
    """Reads `path` as far as it can be read; never raises for what is written there."""
    try:
        if path.is_dir():
            return _directory(path, env)
        return _single(path, env)
    except OSError as error:
        found = f"something that cannot be read ({reason(error)})"
        return _nothing(path, found, "a file or directory that the connector may read", env)


def _nothing(path: Path, found: str, expected: str, env: Mapping[str, str]) -> Reading:
    mistake = ConfigurationMistake(path, "", found, expected)
    return Reading(process_settings(None, env), fatal=(mistake,))


def _single(path: Path, env: Mapping[str, str]) -> Reading:
    if not path.exists():
        return _nothing(
            path,
            "no such file or directory",
            "one user's file, or a directory with users/*.toml",
            env,
        )
    folder = path.absolute().parent
    if path.name == DEFAULTS and (folder / USERS).is_dir():
        return _nothing(path, "the defaults alone", f"the directory {folder} or a user's file", env)
    defaults = _beside(path)
    return _reading(defaults, [path], env)


def _beside(path: Path) -> Path | None:
    """The connector.toml that gives a file in a folder `users` its defaults; written as `path` is, for messages."""
    if path.absolute().parent.name != USERS:
        return None
    defaults = path.parent.parent / DEFAULTS
    if not path.parent.name:  # `pam.toml`, said from inside the folder
        defaults = path.absolute().parent.parent / DEFAULTS
    return defaults if defaults.exists() else None


def _directory(path: Path, env: Mapping[str, str]) -> Reading:
    folder, defaults = path / USERS, path / DEFAULTS
    present = os.path.lexists(defaults)
    try:
        files = sorted(_users_files(folder))
    except OSError as error:
        found = "no such folder" if not folder.exists() else f"unreadable ({reason(error)})"
        files, mistake = (
            [],
            ConfigurationMistake(folder, "", found, "a folder with one file a user"),
        )
    else:
        mistake = ConfigurationMistake(folder, "", "no user's file", "users/NAME.toml, one a user")
    reading = _reading(defaults if present else None, files, env)
    if files or reading.finds_users:
        return reading
    return replace(reading, fatal=(*reading.fatal, mistake))


def _users_files(folder: Path) -> Iterable[Path]:
    """The users' files; what editors leave beside them (.pam.toml.swp, .#pam.toml, #pam.toml#, pam.toml~) is none."""
    for file in folder.iterdir():
        if file.suffix == ".toml" and not file.name.startswith((".", "#")) and not file.is_dir():
            yield file


def _reading(defaults: Path | None, files: list[Path], env: Mapping[str, str]) -> Reading:
    base = _origin(defaults, env) if defaults is not None else None
    origins = [_origin(file, env) for file in files]
    fatal: tuple[ConfigurationMistake, ...] = ()
    of_process: Layer | None = None
    if base is not None:
        of_process = base.layer
        fatal = (*base.layer.mistakes, *base.sources.mistakes)
    elif len(origins) == 1:
        of_process = origins[0].layer
    if of_process is None or base is not None:
        origins = [_without_process_tables(origin) for origin in origins]
    origins = [_without_mode(origin) for origin in origins]
    fatal = (*fatal, *process_mistakes(of_process, env))
    drafts = _with_shared_guids([draft_of(origin, base) for origin in origins])
    read = [*(() if base is None else (base,)), *origins]
    watched = frozenset(
        file for origin in read for file in (origin.layer.file, *origin.sources.files)
    )
    finds_users = base is not None and base.layer.tables.roster.mode == "settings"
    template = None
    if base is not None and finds_users:
        template, mistakes = template_of(base)
        fatal = (*fatal, *mistakes)
    return Reading(process_settings(of_process, env), drafts, fatal, watched, template, finds_users)


def _origin(file: Path, env: Mapping[str, str]) -> Origin:
    layer = read_layer(file)
    return Origin(layer, read_sources(layer, env) if layer.readable else Sources())


def _without_process_tables(origin: Origin) -> Origin:
    layer = origin.layer
    if not layer.readable:
        return origin
    return replace(origin, layer=replace(layer, mistakes=(*layer.mistakes, *misplaced(layer))))


def _without_mode(origin: Origin) -> Origin:
    layer = origin.layer
    return replace(origin, layer=replace(layer, mistakes=(*layer.mistakes, *misplaced_mode(layer))))


def _with_shared_guids(drafts: list[UserDraft]) -> tuple[UserDraft, ...]:
    """Two users cannot feed one calendar of Salesloft: neither is served before that is settled."""
    sharing: defaultdict[UserGuid, list[UserDraft]] = defaultdict(list)
    for draft in drafts:
        if draft.guid is not None:
            sharing[draft.guid].append(draft)

    def judged(draft: UserDraft) -> UserDraft:
        if draft.guid is None or len(sharing[draft.guid]) == 1:
            return draft
        others = [one.file for one in sharing[draft.guid] if one is not draft]
        found = f"the GUID of {', '.join(str(file) for file in others)} too"
        mistake = ConfigurationMistake(
            draft.file, "salesloft.user_guid", found, "a GUID of this user's own"
        )
        return replace(draft, settings=None, mistakes=(*draft.mistakes, mistake))

    return tuple(judged(draft) for draft in drafts)
