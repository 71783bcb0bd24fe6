"""`[roster] mode = "settings"`: users without files, from connector.toml and what Salesloft says of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.domain.errors import ConfigurationInvalid, ConfigurationMistake
from connector.domain.model import UserGuid, UserName
from connector.settings.model import UserSettings
from connector.settings.roster import user_without_file
from tests.settings.conftest import JIM_GUID, PAM, PAM_GUID, Folder

WITHOUT_FILES = """
[google]
credentials_file = "google.json"
lost_after = "2m"
[salesloft]
api_key_file = "salesloft.key"
points_per_minute = 77
[sync]
past_days = 7
[roster]
mode = "settings"
keep_state_for = "48h"
"""


@pytest.fixture
def alone(folder: Folder) -> Folder:
    """A directory of connector.toml alone."""
    folder.write("connector.toml", WITHOUT_FILES)
    return folder


def made(folder: Folder, email: str = "Pam@Example.com", guid: str = PAM_GUID) -> UserSettings:
    template = folder.load(".").template
    assert template is not None
    user = user_without_file(template, UserName("pam"), UserGuid(guid), email)
    assert isinstance(user, UserSettings)
    return user


def test_no_users_files_are_needed(alone: Folder) -> None:
    assert alone.check(".") == ()
    settings = alone.load(".")
    assert settings.users == ()
    assert settings.template is not None


def test_a_user_has_the_defaults_of_connector_toml(alone: Folder) -> None:
    user = made(alone)
    assert (user.name, user.google.subject) == ("pam", "Pam@Example.com")
    assert user.salesloft.user_guid == PAM_GUID
    assert user.google.lost_after == timedelta(minutes=2)
    assert user.salesloft.points_per_minute == 77
    assert user.sync.past_days == 7
    assert user.roster.keep_state_for == timedelta(hours=48)
    assert user.policy.internal_domains == {"example.com"}
    assert user.google.calendar_id == "primary"


def test_given_domains_count(alone: Folder) -> None:
    alone.write(
        "connector.toml", WITHOUT_FILES + '[policy]\ninternal_domains = ["company.example"]\n'
    )
    assert made(alone).policy.internal_domains == {"company.example"}


@pytest.mark.parametrize("email", ["", "pam", "pam@", "@example.com", "p m@example.com", "pam@x"])
def test_an_unfit_address_is_a_mistake_that_does_not_quote_it(alone: Folder, email: str) -> None:
    template = alone.load(".").template
    assert template is not None
    mistake = user_without_file(template, UserName("pam"), UserGuid(PAM_GUID), email)
    assert isinstance(mistake, ConfigurationMistake)
    assert "pam@" not in str(mistake)


def test_an_unfit_guid_is_a_mistake(alone: Folder) -> None:
    template = alone.load(".").template
    assert template is not None
    found = user_without_file(template, UserName("pam"), UserGuid("7"), "pam@example.com")
    assert isinstance(found, ConfigurationMistake)


def test_an_authorized_user_cannot_act_for_everybody(alone: Folder) -> None:
    alone.write_google(alone.authorized_user())
    (mistake,) = alone.check(".")
    assert (mistake.key, "authorized_user" in mistake.found) == ("roster.mode", True)
    with pytest.raises(ConfigurationInvalid):
        alone.load(".")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('credentials_file = "google.json"', "google.credentials_file"),
        ('api_key_file = "salesloft.key"', "salesloft.api_key_file"),
    ],
)
def test_what_users_need_must_stand_in_connector_toml(alone: Folder, line: str, key: str) -> None:
    alone.write("connector.toml", WITHOUT_FILES.replace(line, ""))
    assert [mistake.key for mistake in alone.check(".")] == [key]


def test_one_calendar_for_everybody_is_a_mistake(alone: Folder) -> None:
    text = WITHOUT_FILES.replace("lost_after", 'calendar_id = "team@example.com"\nlost_after')
    alone.write("connector.toml", text)
    assert [mistake.key for mistake in alone.check(".")] == ["google.calendar_id"]


def test_a_users_file_cannot_say_that_users_need_none(alone: Folder) -> None:
    alone.write(
        "users/pam.toml",
        PAM.replace('"google.json"', '"../google.json"').replace(
            '"salesloft.key"', '"../salesloft.key"'
        )
        + '[roster]\nmode = "settings"\n',
    )
    (mistake,) = alone.check(".")
    assert (mistake.key, mistake.file.name) == ("roster.mode", "pam.toml")
    assert [broken.name for broken in alone.load(".").broken] == ["pam"]


def test_users_with_files_go_along(alone: Folder) -> None:
    alone.write(
        "users/jim.toml",
        f'[google]\nsubject = "jim@example.com"\n[salesloft]\nuser_guid = "{JIM_GUID}"\n',
    )
    settings = alone.load(".")
    assert [user.name for user in settings.users] == ["jim"]
    assert settings.template is not None


def test_other_modes_need_files(alone: Folder) -> None:
    alone.write("connector.toml", WITHOUT_FILES.replace('"settings"', '"both"'))
    assert alone.check(".") != ()
