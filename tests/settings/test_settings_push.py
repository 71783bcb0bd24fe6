"""`[google.push]`: per user with the usual defaults, but for `listen`, which is the process's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.settings.conftest import JIM_GUID, PAM, PAM_GUID, Folder

ADDRESS = "https://calendar.example.com/google/notifications"
OWN = PAM.replace("google.json", "../google.json").replace("salesloft.key", "../salesloft.key")
DEFAULTS = f"""
[google.push]
address = "{ADDRESS}"
listen = "127.0.0.1:9999"
poll_interval = "15m"
"""


def test_polls_only_unless_an_address_is_given(folder: Folder) -> None:
    folder.write("pam.toml", PAM)
    push = folder.user().google.push
    assert (push.address, push.poll_interval) == (None, None)
    assert folder.load("pam.toml").process.push_listen == "127.0.0.1:9465"


def test_a_user_overrides_the_defaults_key_by_key(folder: Folder) -> None:
    folder.write("connector.toml", DEFAULTS)
    folder.write(
        "users/pam.toml",
        PAM.replace("google.json", "../google.json").replace("salesloft.key", "../salesloft.key"),
    )
    own = '[google.push]\npoll_interval = "5m"\n'
    jim = PAM.replace(PAM_GUID, JIM_GUID).replace("pam.beesly", "jim.halpert")
    jim = jim.replace("google.json", "../google.json").replace("salesloft.key", "../salesloft.key")
    folder.write("users/jim.toml", jim + own)
    folder.write(
        "users/zoe.toml",
        jim.replace(JIM_GUID, PAM_GUID[:-1] + "9") + "[google.push]\nenabled = false\n",
    )
    settings = folder.load()
    assert settings.broken == ()
    jims, pams, zoes = (user.google.push for user in settings.users)
    assert (pams.address, pams.poll_interval) == (ADDRESS, timedelta(minutes=15))
    assert (jims.address, jims.poll_interval) == (ADDRESS, timedelta(minutes=5))
    assert zoes.address is None
    assert settings.process.push_listen == "127.0.0.1:9999"
    assert settings.users[0].origins["google.push.poll_interval"].name == "jim.toml"
    assert settings.users[0].origins["google.push.address"].name == "connector.toml"


def test_without_a_path_the_usual_one_is_meant(folder: Folder) -> None:
    folder.write("pam.toml", PAM + '[google.push]\naddress = "https://calendar.example.com/"\n')
    assert folder.user().google.push.address == ADDRESS


@pytest.mark.parametrize(
    ("line", "key", "found"),
    [
        ('address = "http://calendar.example.com/x"', "google.push.address", "plain http"),
        ('address = "calendar.example.com"', "google.push.address", "calendar.example.com"),
        ('address = "https://me:secret@calendar.example.com"', "google.push.address", "password"),
        ('address = "https://calendar.example.com/?token=1"', "google.push.address", "query"),
        ("address = 3", "google.push.address", "3 (a whole number)"),
        ('listen = "9465"', "google.push.listen", "9465"),
        ('poll_interval = "10s"', "google.push.poll_interval", "less than sync.poll_interval"),
        ('poll_interval = "3d"', "google.push.poll_interval", "3d"),
        ('adress = "https://calendar.example.com"', "google.push.adress", "an unknown key"),
    ],
)
def test_a_mistake_names_its_key(folder: Folder, line: str, key: str, found: str) -> None:
    folder.write("pam.toml", f"{PAM}[google.push]\n{line}\n")
    mistake = folder.the_mistake()
    assert mistake.key == key
    assert found in mistake.found
    assert "secret" not in str(mistake)
    if "adress" in line:
        assert mistake.expected == "perhaps google.push.address"


def test_push_is_a_table(folder: Folder) -> None:
    folder.write("pam.toml", PAM.replace("[salesloft]", 'push = "on"\n[salesloft]'))
    assert (folder.the_mistake().key, folder.the_mistake().expected) == ("google.push", "a table")


def test_where_to_listen_is_said_once_for_the_process(folder: Folder) -> None:
    folder.write("connector.toml", "")
    folder.write("users/pam.toml", OWN + '[google.push]\nlisten = "127.0.0.1:9999"\n')
    (mistake,) = folder.check()
    assert mistake.key == "google.push.listen"
    assert "connector.toml" in mistake.expected
