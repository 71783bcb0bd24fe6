"""Another policy from a file of its own, laid over each user's: for `policy simulate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from connector.domain.errors import ConfigurationInvalid, ConfigurationMistake
from connector.domain.model import UserName
from connector.domain.policy import PolicyRules
from connector.settings.layer import read_layer
from connector.settings.model import Settings
from connector.settings.tables import written


def policies_with(settings: Settings, file: Path) -> dict[UserName, PolicyRules]:
    """Each user's rules, with the keys of the file's `[policy]` in place of today's; other tables are not looked at.

    Raises ConfigurationInvalid with every mistake of the file, also where it has no `[policy]`.
    """
    layer = read_layer(file)
    given = written(layer.tables.policy)
    mistakes = layer.mistakes
    if not given and not layer.is_mistaken("policy"):
        expected = "a [policy] table with the rules to try, as in docs/configuration.md"
        mistakes = (*mistakes, ConfigurationMistake(file, "policy", "nothing", expected))
    if mistakes:
        raise ConfigurationInvalid(mistakes)
    types = given.pop("event_types", {})
    return {
        user.name: replace(user.policy, **given, event_types={**user.policy.event_types, **types})
        for user in settings.users
    }
