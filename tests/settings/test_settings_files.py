"""What a path means, and how a user's file and the defaults become one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connector.domain.errors import ConfigurationInvalid
from connector.domain.model import EventType
from connector.domain.policy import DEFAULT_EVENT_TYPES, DeclinedRule, Disclosure
from connector.settings.model import (
    BookingSettings,
    ProcessSettings,
    RosterSettings,
    Secret,
    SyncSettings,
)

from .conftest import API_KEY, JIM_GUID, PAM, PAM_GUID, Folder


def test_single_file_is_complete_on_its_own(folder: Folder) -> None:
    user = folder.user()
    assert (user.name, user.file) == ("pam", folder.path / "pam.toml")
    assert user.salesloft.user_guid == PAM_GUID
    assert user.salesloft.api_key.reveal() == API_KEY
    assert user.google.credentials.kind == "service_account"
    assert user.google.credentials.info == folder.service_account()
    assert user.google.subject == "pam.beesly@example.com"
    assert user.policy.internal_domains == {"example.com"}


def test_absent_keys_have_the_defaults_of_the_contract(folder: Folder) -> None:
    settings = folder.load("pam.toml")
    user = settings.users[0]
    assert settings.process == ProcessSettings()
    assert settings.process.state_url == "sqlite:////var/lib/gcal-salesloft/state.db"
    assert (user.google.calendar_id, user.google.api_url, user.google.requests_per_minute) == (
        "primary",
        "https://www.googleapis.com",
        5000,
    )
    assert user.google.lost_after == timedelta(seconds=60)
    assert user.salesloft.api_url == "https://api.salesloft.com"
    assert user.salesloft.points_per_minute == 600
    assert user.sync == SyncSettings(timedelta(seconds=30), 30, 90, None, 0.3, 20)
    assert user.bookings == BookingSettings(True, timedelta(seconds=10), "all")
    assert user.roster == RosterSettings("both", timedelta(seconds=60), timedelta(days=30))
    assert user.policy.event_types == DEFAULT_EVENT_TYPES
    assert user.policy.video_link_as_location is True


EVERY_KEY = f"""
[google]
calendar_id = "team@example.org"
subject = "pam@example.com"
credentials_file = "google.json"
api_url = "http://127.0.0.1:8080/"
requests_per_minute = 7
lost_after = "2m"
[salesloft]
user_guid = "{PAM_GUID.upper()}"
api_key_file = "salesloft.key"
api_url = "HTTPS://salesloft.example.com/base/"
points_per_minute = 60
[policy]
internal_domains = ["Example.COM", "bücher.example"]
private = "nothing"
internal = "full"
declined = "as_is"
video_link_as_location = false
[policy.event_types]
birthday = "full"
unknown = "nothing"
[sync]
poll_interval = "1s"
poll_interval_idle = "1h"
past_days = 0
future_days = 1
hold_share = 0.5
hold_minimum = 5
[bookings]
enabled = false
interval = "1m"
send_updates = "externalOnly"
[roster]
mode = "both"
interval = "5m"
[state]
url = "sqlite:///state/x.db"
[observability]
listen = "[::1]:0"
log_format = "json"
token_file = "token"
user_labels = true
"""


def test_every_key_arrives(folder: Folder) -> None:
    folder.write("pam.toml", EVERY_KEY)
    folder.write("token", "0123456789abcdef\n")
    settings = folder.load("pam.toml")
    (user,) = settings.users
    assert settings.process == ProcessSettings(
        state_url=f"sqlite:///{folder.path}/state/x.db",
        log_format="json",
        listen="[::1]:0",
        token=Secret("0123456789abcdef"),
        user_labels=True,
    )
    google, salesloft, policy = user.google, user.salesloft, user.policy
    assert (google.calendar_id, google.subject) == ("team@example.org", "pam@example.com")
    assert (google.api_url, google.requests_per_minute) == ("http://127.0.0.1:8080", 7)
    assert google.lost_after == timedelta(minutes=2)
    assert salesloft.user_guid == PAM_GUID
    assert salesloft.api_url == "https://salesloft.example.com/base"
    assert salesloft.points_per_minute == 60
    assert policy.internal_domains == {"example.com", "bücher.example", "xn--bcher-kva.example"}
    assert (policy.private, policy.internal) == (Disclosure.NOTHING, Disclosure.FULL)
    assert policy.declined is DeclinedRule.AS_IS
    assert policy.video_link_as_location is False
    assert policy.event_types == DEFAULT_EVENT_TYPES | {
        EventType.BIRTHDAY: Disclosure.FULL,
        EventType.UNKNOWN: Disclosure.NOTHING,
    }
    assert user.sync == SyncSettings(
        timedelta(seconds=1), 0, 1, timedelta(hours=1), hold_share=0.5, hold_minimum=5
    )
    assert user.bookings == BookingSettings(False, timedelta(minutes=1), "externalOnly")
    assert user.roster == RosterSettings("both", timedelta(minutes=5))


def test_directory_gives_users_by_name(team: Folder) -> None:
    settings = team.load()
    assert [user.name for user in settings.users] == ["jim", "pam"]
    assert [user.salesloft.user_guid for user in settings.users] == [JIM_GUID, PAM_GUID]
    assert {user.salesloft.api_key.reveal() for user in settings.users} == {API_KEY}


def test_directory_needs_no_defaults(folder: Folder) -> None:
    folder.write_secrets("users")
    folder.write("users/pam.toml", PAM + '[state]\nurl = "sqlite:///own.db"')
    settings = folder.load()
    assert [user.name for user in settings.users] == ["pam"]
    assert settings.process.state_url == f"sqlite:///{folder.path}/users/own.db"


def test_user_overrides_defaults_key_by_key(team: Folder) -> None:
    with (team.path / "connector.toml").open("a") as file:
        file.write(
            "points_per_minute = 300\n[sync]\npast_days = 3\nfuture_days = 4\n"
            '[policy]\ninternal_domains = ["example.net"]\nprivate = "nothing"\n'
            '[policy.event_types]\nbirthday = "full"\nfocusTime = "full"\n'
        )
    with (team.path / "users/pam.toml").open("a") as file:
        file.write(
            '[sync]\nfuture_days = 9\n[policy]\ninternal_domains = ["example.com"]\n'
            '[policy.event_types]\nbirthday = "busy_only"\n'
        )
    jim, pam = team.load().users
    assert (jim.sync.past_days, jim.sync.future_days) == (3, 4)
    assert (pam.sync.past_days, pam.sync.future_days) == (3, 9)
    assert jim.policy.internal_domains == {"example.net"}
    assert pam.policy.internal_domains == {"example.com"}
    assert (jim.policy.private, pam.policy.private) == (Disclosure.NOTHING, Disclosure.NOTHING)
    assert jim.policy.event_types[EventType.BIRTHDAY] is Disclosure.FULL
    assert pam.policy.event_types[EventType.BIRTHDAY] is Disclosure.BUSY_ONLY
    assert pam.policy.event_types[EventType.FOCUS_TIME] is Disclosure.FULL
    assert pam.policy.event_types[EventType.DEFAULT] is Disclosure.FULL
    assert (jim.salesloft.points_per_minute, pam.salesloft.points_per_minute) == (300, 300)


def test_a_value_equal_to_the_default_still_overrides(team: Folder) -> None:
    with (team.path / "connector.toml").open("a") as file:
        file.write("points_per_minute = 300\n")
    with (team.path / "users/pam.toml").open("a") as file:
        file.write("points_per_minute = 600\n")
    assert [user.salesloft.points_per_minute for user in team.load().users] == [300, 600]


def test_own_source_replaces_the_defaults_source_of_another_kind(team: Folder) -> None:
    team.env["PAMS_KEY"] = "another"
    with (team.path / "users/pam.toml").open("a") as file:
        file.write('api_key_env = "PAMS_KEY"\n')
    assert [user.salesloft.api_key.reveal() for user in team.load().users] == [API_KEY, "another"]


def test_inherited_subject_is_no_concern_of_a_signed_in_user(team: Folder) -> None:
    defaults = '[google]\nsubject = "admin@example.com"\ncredentials_file = "google.json"\n'
    team.write("connector.toml", defaults + '[salesloft]\napi_key_file = "salesloft.key"')
    team.write_google(team.authorized_user(), "users/pam.json")
    team.write(
        "users/pam.toml",
        f'[google]\ncredentials_file = "pam.json"\n[salesloft]\nuser_guid = "{PAM_GUID}"\n'
        '[policy]\ninternal_domains = ["example.com"]',
    )
    jim, pam = team.load().users
    assert (jim.google.subject, pam.google.subject) == ("jim@example.org", None)
    assert pam.google.credentials.kind == "authorized_user"


def test_relative_paths_belong_to_the_file_that_names_them(team: Folder) -> None:
    team.write("users/salesloft.key", "jims-own")
    with (team.path / "users/jim.toml").open("a") as file:
        file.write('api_key_file = "salesloft.key"\n')
    assert [user.salesloft.api_key.reveal() for user in team.load().users] == ["jims-own", API_KEY]


def test_file_in_users_takes_the_defaults_beside_the_folder(
    team: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (team.path / "connector.toml").open("a") as file:
        file.write('[state]\nurl = "sqlite:////tmp/x.db"\n')
    settings = team.load("users/pam.toml")
    assert [user.name for user in settings.users] == ["pam"]
    assert settings.process.state_url == "sqlite:////tmp/x.db"
    monkeypatch.chdir(team.path / "users")
    for relative in ("pam.toml", "./pam.toml", "../users/pam.toml"):
        assert Folder(Path(), "").load(relative).process == settings.process


def test_file_elsewhere_takes_no_defaults(team: Folder) -> None:
    (team.path / "users").rename(team.path / "others")
    keys = {mistake.key for mistake in team.check("others/pam.toml")}
    assert keys == {"google.credentials_file", "salesloft.api_key_file"}


@pytest.mark.parametrize(
    "name",
    [
        ".pam.toml",
        ".#pam.toml",
        "#pam.toml#",
        "pam.toml~",
        "pam.toml.swp",
        "#x.toml",
        "x.toml.example",
    ],
)
def test_what_editors_leave_behind_is_no_user(team: Folder, name: str) -> None:
    team.write(f"users/{name}", "not = [toml")
    (team.path / "users/folder.toml").mkdir()
    assert len(team.load().users) == 2
    assert team.check() == ()


@pytest.mark.parametrize("state_directory", ["/var/lib/x", "/var/lib/x:/var/lib/y"])
def test_state_goes_to_the_directory_that_systemd_made(
    folder: Folder, state_directory: str
) -> None:
    folder.env["STATE_DIRECTORY"] = state_directory
    assert folder.load("pam.toml").process.state_url == "sqlite:////var/lib/x/state.db"
    folder.write("pam.toml", PAM + '[state]\nurl = "postgresql://db.example.com/x"')
    assert folder.load("pam.toml").process.state_url == "postgresql://db.example.com/x"


@pytest.mark.parametrize(
    ("google", "domain"),
    [
        ('subject = "pam@Sub.Example.COM"', "sub.example.com"),
        ('calendar_id = "pam@example.net"', "example.net"),
        ('subject = "pam@example.org"\ncalendar_id = "pam@example.net"', "example.org"),
    ],
)
def test_internal_domain_comes_from_the_users_address(
    folder: Folder, google: str, domain: str
) -> None:
    folder.write("pam.toml", PAM.replace('subject = "pam.beesly@example.com"', google))
    assert folder.user().policy.internal_domains == {domain}


def test_one_broken_user_leaves_the_others(team: Folder) -> None:
    team.write("users/jim.toml", "[sync]\npast_days = true")
    settings = team.load()
    assert [user.name for user in settings.users] == ["pam"]
    (broken,) = settings.broken
    assert (broken.name, broken.file) == ("jim", team.path / "users/jim.toml")
    assert {mistake.key for mistake in broken.mistakes} == {
        "sync.past_days",
        "salesloft.user_guid",
        "policy.internal_domains",
    }
    assert {mistake.file for mistake in broken.mistakes} == {broken.file}


def test_bad_defaults_stop_everything_with_all_mistakes(team: Folder) -> None:
    team.write("users/jim.toml", "[sync]\npast_days = true")
    with (team.path / "connector.toml").open("a") as file:
        file.write("points_per_minute = 0\n")
    with pytest.raises(ConfigurationInvalid) as caught:
        team.load()
    assert "salesloft.points_per_minute" in {mistake.key for mistake in caught.value.mistakes}
    assert "sync.past_days" in {mistake.key for mistake in caught.value.mistakes}
    assert caught.value.mistakes == team.check()


def test_unreadable_defaults_are_one_mistake_not_one_for_each_user(team: Folder) -> None:
    team.write("connector.toml", "[google")
    mistake = team.the_mistake(".")
    assert mistake.file == team.path / "connector.toml"


def test_no_valid_user_stops_everything(team: Folder) -> None:
    for name in ("pam", "jim"):
        team.write(f"users/{name}.toml", "[sync]\npast_days = true")
    with pytest.raises(ConfigurationInvalid):
        team.load()
