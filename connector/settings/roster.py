"""Users without a file: `[roster] mode = "settings"`, where Salesloft names them and connector.toml holds the rest."""

from __future__ import annotations

from dataclasses import replace

from pydantic_core import PydanticCustomError

from connector.domain.errors import ConfigurationMistake
from connector.domain.model import UserGuid, UserName
from connector.domain.policy import domain_of
from connector.settings import values
from connector.settings.layer import Layer
from connector.settings.model import UserSettings, UserTemplate
from connector.settings.sources import Sources
from connector.settings.tables import GoogleTable, SalesloftTable, Tables
from connector.settings.users import Origin, draft_of

_NOBODY = "nobody@example.invalid"
_NO_GUID = "00000000-0000-0000-0000-000000000000"


def template_of(base: Origin) -> tuple[UserTemplate | None, tuple[ConfigurationMistake, ...]]:
    """What connector.toml says of users without a file, or why that cannot serve them.

    Mistakes that connector.toml has anyway are not repeated.
    """
    file, tables = base.layer.file, base.layer.tables
    mistakes = []
    credentials = base.sources.credentials
    if credentials is not None and credentials.kind != "service_account":
        mistakes.append(
            ConfigurationMistake(
                file,
                "roster.mode",
                '"settings" beside credentials of the type authorized_user, which act for one person only',
                'a service account with domain-wide delegation in connector.toml, or "both" and a file a user',
            )
        )
    if tables.google.calendar_id not in (None, "primary"):
        mistakes.append(
            ConfigurationMistake(
                file,
                "google.calendar_id",
                'one calendar for every user beside [roster] mode = "settings"',
                '"primary", so that each user\'s own calendar is read',
            )
        )
    user = Tables(google=GoogleTable(subject=_NOBODY), salesloft=SalesloftTable(user_guid=_NO_GUID))
    # A subject beside an authorized_user is reported above already, in the words of the mode.
    if mistakes:
        return None, tuple(mistakes)
    draft = draft_of(Origin(Layer(file, user), Sources()), base)
    if draft.settings is None:
        return None, draft.mistakes
    return UserTemplate(draft.settings, tables.policy.internal_domains is not None), ()


def user_without_file(
    template: UserTemplate, name: UserName, guid: UserGuid, email: str
) -> UserSettings | ConfigurationMistake:
    """The settings of a user whom only Salesloft names, or what is wrong with what it says of them.

    `email` is whom the service account acts for. The mistake does not quote it.
    """
    prototype = template.prototype
    try:
        subject, own_guid = values.address(email), UserGuid(values.user_guid(guid))
    except PydanticCustomError:
        return ConfigurationMistake(
            prototype.file,
            "roster.mode",
            f"an e-mail address or GUID of user {name} in Salesloft's meeting settings that cannot be used",
            "the address of the user's Google account, or a file users/NAME.toml for this user",
        )
    policy = prototype.policy
    if not template.domains_given:
        policy = replace(policy, internal_domains=frozenset({domain_of(subject)}))
    return replace(
        prototype,
        name=name,
        google=replace(prototype.google, subject=subject),
        salesloft=replace(prototype.salesloft, user_guid=own_guid),
        policy=policy,
    )


def misplaced_mode(layer: Layer) -> tuple[ConfigurationMistake, ...]:
    """A user's own file cannot say that users need no file."""
    if layer.tables.roster.mode != "settings":
        return ()
    return (
        ConfigurationMistake(
            layer.file,
            "roster.mode",
            '"settings" in a user\'s file',
            '"files" or "both" here; "settings" in connector.toml, beside the folder users',
        ),
    )
