"""Every mistake is found, under the right file and key, with what is expected, and without any secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.domain.errors import ConfigurationInvalid

from .conftest import JIM_GUID, PAM, PAM_GUID, Folder


def in_table(table: str, line: str) -> str:
    """Pam's file with one more line in a table; a key that is there already is replaced."""
    key = line.partition("=")[0].strip()
    kept = [one for one in PAM.splitlines() if one.partition("=")[0].strip() != key]
    if f"[{table}]" in kept:
        kept.insert(kept.index(f"[{table}]") + 1, line)
    else:
        kept += [f"[{table}]", line]
    return "\n".join(kept)


WRONG_VALUES = [
    # types are strict
    ("sync", 'past_days = "30"', "'30' (a text)", "0 to 366"),
    ("sync", "past_days = 30.0", "30.0", "0 to 366"),
    ("sync", "past_days = true", "true", "0 to 366"),
    ("sync", "past_days = -1", "-1", "0 to 366"),
    ("sync", "past_days = 367", "367", "0 to 366"),
    ("sync", "future_days = 0", "0", "1 to 90"),
    ("sync", "future_days = 91", "91", "nobody can book later than 90 days"),
    ("sync", f"future_days = {'9' * 400}", "huge", "1 to 90"),
    ("sync", "poll_interval = 30", "30 (a whole number)", '"30s"'),
    ("sync", 'poll_interval = "30"', "'30'", '"30s"'),
    ("sync", 'poll_interval = "30 s"', "'30 s'", '"30s"'),
    ("sync", 'poll_interval = "0s"', "'0s'", '"1s"'),
    ("sync", 'poll_interval = "500ms"', "'500ms'", '"1s"'),
    ("sync", 'poll_interval = "-1s"', "'-1s'", '"1s"'),
    ("sync", 'poll_interval = "٣s"', "'٣s'", '"1s"'),
    ("sync", 'poll_interval = "25h"', "'25h'", '"24h"'),
    ("sync", f'poll_interval = "{"9" * 99}h"', "999", '"24h"'),
    ("sync", 'poll_interval_idle = "29s"', "less than sync.poll_interval", "at least"),
    ("sync", "poll_interval = 2026-11-22T09:00:00", "without a zone", "zone"),
    ("sync", "poll_interval = 09:00:00", "without a zone", "zone"),
    ("sync", "poll_interval = 2026-11-22T09:00:00Z", "a date or time", '"30s"'),
    ("sync", "poll_interval = {}", "a table", '"30s"'),
    ("sync", "poll_interval = [[1]]", "a list", '"30s"'),
    ("bookings", "enabled = 1", "1", "true or false"),
    ("bookings", 'enabled = "yes"', "'yes'", "true or false"),
    ("bookings", 'interval = "1d"', "'1d'", '"1s"'),
    ("bookings", 'send_updates = "everybody"', "'everybody'", '"externalOnly"'),
    ("roster", 'mode = "file"', "'file'", '"files"'),
    ("roster", "interval = false", "false", '"1s"'),
    ("google", "requests_per_minute = 0", "0", "at least 1"),
    ("google", 'lost_after = "169h"', "'169h'", '"168h"'),
    ("google", 'calendar_id = ""', "an empty text", '"primary"'),
    ("google", 'calendar_id = "my calendar"', "'my calendar'", '"primary"'),
    ("google", "calendar_id = 3", "3", '"primary"'),
    ("google", 'subject = "pam"', "'pam'", "e-mail address"),
    ("google", 'subject = "pam@"', "'pam@'", "e-mail address"),
    ("google", 'subject = "Pam <pam@example.com>"', "Pam <", "e-mail address"),
    ("google", 'credentials_file = ""', "an unsuitable text", "file"),
    ("google", 'api_url = "http://google.example.com"', "plain http", "https://"),
    ("google", 'api_url = "http://10.0.0.1"', "plain http", "loopback"),
    ("google", 'api_url = "http://127.0.0.1.example.com"', "plain http", "loopback"),
    ("google", 'api_url = "http://127.0.0.1@example.com"', "user or a password", "loopback"),
    ("google", 'api_url = "https://me:hunter2@example.com"', "user or a password", "https://"),
    ("google", 'api_url = "https://example.com/?key=hunter2"', "a query", "https://"),
    ("google", 'api_url = "https://example.com/#hunter2"', "a query or a fragment", "https://"),
    ("google", 'api_url = "https://exa mple.com"', "a space", "https://"),
    ("google", r'api_url = "https://example.com\\@127.0.0.1"', "backslash", "https://"),
    ("google", 'api_url = "https://example.com:99999"', "cannot be read", "https://"),
    ("google", 'api_url = "https://[::1"', "cannot be read", "https://"),
    ("google", 'api_url = "ftp://example.com"', "'ftp://example.com'", "https://"),
    ("google", 'api_url = "example.com"', "'example.com'", "https://"),
    ("google", 'api_url = "https://"', "'https://'", "https://"),
    ("google", "api_url = 3", "3", "https://"),
    ("salesloft", 'api_url = "http://salesloft.example.com"', "plain http", "loopback"),
    ("salesloft", "points_per_minute = 0", "0", "1 to 100000"),
    ("salesloft", "points_per_minute = 100001", "100001", "1 to 100000"),
    ("salesloft", 'user_guid = "pam"', "'pam'", "GUID"),
    ("salesloft", f'user_guid = "{PAM_GUID}\\n"', PAM_GUID, "GUID"),
    ("salesloft", f'user_guid = "{PAM_GUID.replace("-", "")}"', PAM_GUID[:8], "GUID"),
    ("salesloft", f'user_guid = "external_{PAM_GUID}"', "external_", "without the prefix"),
    ("salesloft", "user_guid = 7", "7", "GUID"),
    ("policy", "internal_domains = []", "an empty list", "at least one"),
    ("policy", 'internal_domains = "example.com"', "'example.com'", "a list"),
    ("policy", 'internal_domains = ["@example.com"]', "'@example.com'", "bare domains"),
    ("policy", 'internal_domains = ["https://example.com"]', "'https://", "bare domains"),
    ("policy", 'internal_domains = ["example.com", "exa mple.com"]', "'exa mple.com'", "bare"),
    ("policy", 'internal_domains = ["*.example.com"]', "'*.example.com'", "bare domains"),
    ("policy", 'internal_domains = ["com"]', "'com'", "bare domains"),
    ("policy", 'internal_domains = ["pam@example.com"]', "'pam@example.com'", "bare domains"),
    ("policy", "internal_domains = [1]", "something else than texts", "bare domains"),
    ("policy", 'private = "busy"', "'busy'", '"busy_only"'),
    ("policy", "private = true", "true", '"busy_only"'),
    ("policy", 'internal = "all"', "'all'", '"full"'),
    ("policy", 'declined = "free"', "'free'", '"transparent"'),
    ("policy", 'video_link_as_location = "no"', "'no'", "true or false"),
    ("policy", "event_types = 3", "3", "a table"),
    ("policy.event_types", 'birthday = "hide"', "'hide'", '"nothing"'),
    ("observability", 'log_format = "xml"', "'xml'", '"json"'),
    ("observability", 'listen = "9464"', "'9464'", "127.0.0.1:9464"),
    ("observability", 'listen = "::1:9464"', "'::1:9464'", "[::1]:9464"),
    ("observability", 'listen = "127.0.0.1:65536"', "65536", "127.0.0.1:9464"),
    ("observability", 'listen = "127.0.0.1:٣"', "٣", "127.0.0.1:9464"),
    ("state", 'url = "mysql://u:hunter2@example.com/x"', "'mysql'", "postgresql://"),
    ("state", 'url = "postgresql://"', "an empty URL", "postgresql://"),
    ("state", 'url = "/var/lib/x.db"', "no such URL", "sqlite:////"),
    ("state", 'url = "sqlite://"', "sqlite", "sqlite:////"),
    ("state", 'url = "sqlite:///:memory:"', "names no file", "sqlite:////"),
    ("state", 'url = "sqlite:////x.db?mode=ro"', "a query", "sqlite:////"),
]


@pytest.mark.parametrize(("table", "line", "found", "expected"), WRONG_VALUES)
def test_wrong_value(folder: Folder, table: str, line: str, found: str, expected: str) -> None:
    file = folder.write("pam.toml", in_table(table, line))
    mistake = folder.the_mistake()
    key = line.partition("=")[0].strip()
    assert (mistake.file, mistake.key) == (file, f"{table}.{key}")
    assert expected in mistake.expected
    assert found in mistake.found
    assert "hunter2" not in str(mistake)
    assert len(str(mistake)) < len(str(file)) + 300
    with pytest.raises(ConfigurationInvalid) as caught:
        folder.load("pam.toml")
    assert caught.value.mistakes == (mistake,)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.255.0.1:8080",
        "http://[::1]:8080",
        "http://localhost:1",
        "http://LOCALHOST",
        "https://example.com",
        "https://10.0.0.1:8443/base",
        "https://xn--bcher-kva.example",
    ],
)
def test_endpoints_that_are_allowed(folder: Folder, url: str) -> None:
    folder.write("pam.toml", in_table("google", f'api_url = "{url}"'))
    assert folder.user().google.api_url == url


UNKNOWN = [
    ("[googel]\nx = 1", "googel", "perhaps google"),
    ("x = 1", "x", "google, salesloft"),
    ("[sync]\npoll_intervall = 1", "sync.poll_intervall", "perhaps sync.poll_interval"),
    ("[sync]\nuser_guid = 1", "sync.user_guid", "perhaps salesloft.user_guid"),
    ("[sync]\nzzz = 1", "sync.zzz", "poll_interval, "),
    ("[policy.event_types]\nfocustime = 1", "policy.event_types.focustime", "focusTime"),
    ("[policy.event_types]\nzzz = 1", "policy.event_types.zzz", "workingLocation"),
    ('[sync]\n"a.b\\n" = 1', "sync.'a.b\\n'", "one of the keys of [sync]"),
    ("[sync.inner]\nx = 2026-11-22", "sync.inner", "one of the keys of [sync]"),
]


@pytest.mark.parametrize(("text", "key", "expected"), UNKNOWN)
def test_unknown_key_with_the_nearest_known(
    folder: Folder, text: str, key: str, expected: str
) -> None:
    folder.write("pam.toml", f"{text}\n{PAM}" if not text.startswith("[") else PAM + text)
    mistake = folder.the_mistake()
    assert (mistake.key, mistake.found) == (key, "an unknown key")
    assert expected in mistake.expected


def test_key_that_was_put_into_the_file_itself_is_not_shown(folder: Folder) -> None:
    folder.write("pam.toml", PAM + 'api_key = "hunter2"')
    mistake = folder.the_mistake()
    assert mistake.key == "salesloft.api_key"
    assert "salesloft.api_key_" in mistake.expected
    assert "hunter2" not in str(mistake)


@pytest.mark.parametrize("value", ["3", "[]", "[{}]", '"text"', "1979-05-27"])
def test_table_that_is_none(folder: Folder, value: str) -> None:
    folder.write("pam.toml", f"sync = {value}\n{PAM}")
    mistake = folder.the_mistake()
    assert (mistake.key, mistake.expected) == ("sync", "a table")


def test_zoneless_time_beside_an_unknown_key_is_a_mistake_of_its_own(folder: Folder) -> None:
    folder.write("pam.toml", PAM + "start = 2026-11-22T09:00:00")
    found = [(mistake.key, mistake.found) for mistake in folder.check("pam.toml")]
    assert ("salesloft.start", "an unknown key") in found
    assert any("without a zone" in text for _, text in found)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[google]\n\nsubject = \n", "line 3"),
        (b"[google]\nsubject = 'x'\nsubject = 'y'\n", "line 3"),
        (b"[google]\n[google]\n", "line 2"),
        (b"x = 2026-13-45T00:00:00Z", "line 1"),
        (b"x = '", "end of document"),
        (b"\n\nx = '\xff'", "not UTF-8 at line 3"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"x = " + b"9" * 5_000, "TOML cannot hold"),
        (b"#" * (1 << 20) + b"\n", "more than 1 MiB"),
    ],
)
def test_file_that_is_no_toml(folder: Folder, content: bytes, found: str) -> None:
    file = folder.write("pam.toml", content)
    mistake = folder.the_mistake()
    assert (mistake.file, mistake.key) == (file, "")
    assert found in mistake.found


def test_syntax_error_does_not_quote_the_file(folder: Folder) -> None:
    folder.write("pam.toml", "[salesloft]\nhunter2 = 1\nhunter2 = 2")
    assert "hunter2" not in str(folder.the_mistake())


def test_byte_order_mark_is_no_mistake(folder: Folder) -> None:
    folder.write("pam.toml", "\ufeff" + PAM)
    assert folder.check("pam.toml") == ()


MISSING = [
    ("user_guid", "salesloft.user_guid", "GUID"),
    ("api_key_file", "salesloft.api_key_file", "api_key_env"),
    ("credentials_file", "google.credentials_file", "credentials_credential"),
    ("subject", "policy.internal_domains", "every colleague would be a prospect"),
]


@pytest.mark.parametrize(("missing", "key", "expected"), MISSING)
def test_missing_key(folder: Folder, missing: str, key: str, expected: str) -> None:
    kept = [line for line in PAM.splitlines() if not line.startswith(missing)]
    file = folder.write("pam.toml", "\n".join(kept))
    mistake = folder.the_mistake()
    assert (mistake.file, mistake.key, mistake.found) == (file, key, "nothing")
    assert expected in mistake.expected


def test_a_calendars_own_domain_is_nobodys_company(folder: Folder) -> None:
    line = 'calendar_id = "c_1@group.calendar.google.com"'
    folder.write("pam.toml", PAM.replace('subject = "pam.beesly@example.com"', line))
    assert folder.the_mistake().key == "policy.internal_domains"


def test_wrong_value_is_not_reported_as_missing_too(folder: Folder) -> None:
    folder.write(
        "pam.toml",
        "[google]\nsubject = 1\ncredentials_file = 1\n"
        "[salesloft]\nuser_guid = 1\napi_key_file = 1\n[policy]\ninternal_domains = 1",
    )
    assert sorted(mistake.key for mistake in folder.check("pam.toml")) == [
        "google.credentials_file",
        "google.subject",
        "policy.internal_domains",
        "salesloft.api_key_file",
        "salesloft.user_guid",
    ]


def test_all_mistakes_of_all_files_at_once(team: Folder) -> None:
    with (team.path / "connector.toml").open("a") as file:
        file.write('api_url = "http://example.com"\n[sync]\nfuture_days = 99\n')
    (team.path / "google.json").unlink()
    team.write(
        "users/jim.toml", f'[salesloft]\nuser_guid = "{JIM_GUID}"\n[sync]\nx = 1\npast_days = ""'
    )
    team.write("users/pam.toml", "[")
    assert {(mistake.file.name, mistake.key) for mistake in team.check()} == {
        ("connector.toml", "salesloft.api_url"),
        ("connector.toml", "sync.future_days"),
        ("connector.toml", "google.credentials_file"),
        ("jim.toml", "sync.x"),
        ("jim.toml", "sync.past_days"),
        ("jim.toml", "policy.internal_domains"),
        ("pam.toml", ""),
    }


def test_two_users_with_one_guid_name_both_files(team: Folder) -> None:
    text = (team.path / "users/jim.toml").read_text()
    team.write("users/jim.toml", text.replace(JIM_GUID, PAM_GUID.upper()))
    mistakes = team.check()
    assert {mistake.key for mistake in mistakes} == {"salesloft.user_guid"}
    assert len(mistakes) == 2
    for mistake in mistakes:
        assert "jim.toml" in str(mistake)
        assert "pam.toml" in str(mistake)
    with pytest.raises(ConfigurationInvalid):
        team.load()


def test_shared_guid_parks_no_third_user(team: Folder) -> None:
    pam = (team.path / "users/pam.toml").read_text()
    team.write("users/pam2.toml", pam)
    settings = team.load()
    assert [user.name for user in settings.users] == ["jim"]
    assert [broken.name for broken in settings.broken] == ["pam", "pam2"]


@pytest.mark.parametrize("table", ["state", "observability"])
@pytest.mark.parametrize("with_defaults", [True, False])
def test_tables_of_the_process_do_not_belong_to_one_of_several_users(
    team: Folder, table: str, with_defaults: bool
) -> None:
    line = {"state": 'url = "sqlite:///x.db"', "observability": 'log_format = "json"'}[table]
    if not with_defaults:
        (team.path / "connector.toml").unlink()
        for name in ("pam", "jim"):
            text = (team.path / f"users/{name}.toml").read_text()
            text = text.replace("[google]", '[google]\ncredentials_file = "../google.json"')
            team.write(f"users/{name}.toml", text + 'api_key_file = "../salesloft.key"\n')
    with (team.path / "users/pam.toml").open("a") as file:
        file.write(f"[{table}]\n{line}\n")
    mistake = team.the_mistake(".")
    assert (mistake.file.name, mistake.key) == ("pam.toml", table)
    assert "connector.toml" in mistake.expected
    if with_defaults:
        assert team.the_mistake("users/pam.toml") == mistake


def test_mistake_in_the_join_of_defaults_is_theirs_and_told_once(team: Folder) -> None:
    with (team.path / "connector.toml").open("a") as file:
        file.write('[sync]\npoll_interval_idle = "2s"\n')
    mistake = team.the_mistake(".")
    assert (mistake.file.name, mistake.key) == ("connector.toml", "sync.poll_interval_idle")


PATHS = [
    ("absent", "no such file or directory"),
    ("absent/pam.toml", "no such file or directory"),
    ("empty", "no such folder"),
    ("without", "no user's file"),
]


@pytest.mark.parametrize(("name", "found"), PATHS)
def test_path_without_any_user(folder: Folder, name: str, found: str) -> None:
    (folder.path / "empty").mkdir()
    (folder.path / "without/users").mkdir(parents=True)
    mistake = folder.the_mistake(name)
    assert mistake.key == ""
    assert found in mistake.found
    assert mistake.file.is_relative_to(folder.path / name)
    with pytest.raises(ConfigurationInvalid):
        folder.load(name)


def test_defaults_alone_are_no_users_file(team: Folder) -> None:
    mistake = team.the_mistake("connector.toml")
    assert str(team.path) in mistake.expected


def test_dangling_links_are_told(team: Folder) -> None:
    (team.path / "users/dwight.toml").symlink_to("gone.toml")
    mistake = team.the_mistake(".")
    assert (mistake.file.name, mistake.found) == ("dwight.toml", "no such file")
    (team.path / "connector.toml").unlink()
    (team.path / "connector.toml").symlink_to("gone.toml")
    assert Path("connector.toml") in {Path(one.file.name) for one in team.check()}


def test_link_in_a_circle_is_told(folder: Folder) -> None:
    (folder.path / "loop.toml").symlink_to("loop.toml")
    assert folder.the_mistake("loop.toml").key == ""
