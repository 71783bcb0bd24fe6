"""Where secrets may come from, who may read them, and that they are never shown."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from connector.settings.model import Secret

from .conftest import API_KEY, CLIENT_SECRET, PAM, REFRESH_TOKEN, Folder

API_KEY_LINE = 'api_key_file = "salesloft.key"'
GOOGLE_LINE = 'credentials_file = "google.json"'


def key_from(line: str) -> str:
    return PAM.replace(API_KEY_LINE, line)


def google_from(line: str) -> str:
    return PAM.replace(GOOGLE_LINE, line)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o610, 0o601, 0o440, 0o777])
@pytest.mark.parametrize(
    ("name", "key"),
    [("salesloft.key", "salesloft.api_key_file"), ("google.json", "google.credentials_file")],
)
def test_file_that_others_can_read(folder: Folder, name: str, key: str, mode: int) -> None:
    (folder.path / name).chmod(mode)
    mistake = folder.the_mistake()
    assert (mistake.file.name, mistake.key) == ("pam.toml", key)
    assert f"{mode:04o}" in mistake.found
    assert "chmod 600" in mistake.expected


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_file_that_only_its_owner_can_read(folder: Folder, mode: int) -> None:
    (folder.path / "salesloft.key").chmod(mode)
    assert folder.check("pam.toml") == ()


def test_mode_of_a_link_is_its_targets(folder: Folder) -> None:
    folder.write("open.key", API_KEY, mode=0o644)
    (folder.path / "link.key").symlink_to("open.key")
    folder.write("pam.toml", key_from('api_key_file = "link.key"'))
    assert "0644" in folder.the_mistake().found


BAD_KEYS = [
    (b"", "empty"),
    (b"\n \n", "empty"),
    (f"{API_KEY} x".encode(), "a space or a line break"),
    (f"{API_KEY}\nx\n".encode(), "a space or a line break"),
    (f" {API_KEY}".encode(), "a space or a line break"),
    (f"{API_KEY}\t\n".encode(), "a space or a line break"),
    (f"{API_KEY}é".encode(), "no header can carry"),
    (f"{API_KEY}\0".encode(), "no header can carry"),
    (f"\ufeff{API_KEY}".encode(), "no header can carry"),
    (API_KEY.encode() + b"\xff", "no text"),
    (API_KEY.encode() * 5_000, "more than 64 KiB"),
]


@pytest.mark.parametrize(("content", "found"), BAD_KEYS)
def test_file_with_no_usable_key(folder: Folder, content: bytes, found: str) -> None:
    folder.write("salesloft.key", content)
    mistake = folder.the_mistake()
    assert mistake.key == "salesloft.api_key_file"
    assert found in mistake.found
    assert "salesloft.key" in mistake.found


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_end_is_no_part_of_the_key(folder: Folder, end: str) -> None:
    folder.write("salesloft.key", (API_KEY + end).encode())
    assert folder.user().salesloft.api_key.reveal() == API_KEY


@pytest.mark.parametrize(
    ("name", "key", "found"),
    [
        ("gone.key", "salesloft.api_key_file", "no such file"),
        (".", "salesloft.api_key_file", "no regular file"),
        ("pipe", "salesloft.api_key_file", "no regular file"),
        ("pam.toml/x", "salesloft.api_key_file", "cannot be read"),
        ("\\u0000", "salesloft.api_key_file", "cannot be read"),
    ],
)
def test_path_without_a_secret(folder: Folder, name: str, key: str, found: str) -> None:
    os.mkfifo(folder.path / "pipe", 0o600)
    folder.write("pam.toml", key_from(f'api_key_file = "{name}"'))
    mistake = folder.the_mistake()
    assert mistake.key == key
    assert found in mistake.found


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_file_of_another_account(folder: Folder) -> None:
    (folder.path / "salesloft.key").chmod(0)
    assert "cannot be read" in folder.the_mistake().found


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (key_from(f'api_key_file = "{"a1B2" * 12}"'), "salesloft.api_key_file"),
        (key_from(f'api_key_env = "v2_ak_{"a1B2" * 12}"'), "salesloft.api_key_env"),
        (google_from(f"credentials_file = '{{\"private_key\": \"{'a1B2' * 12}\"}}'"), "google.credentials_file"),
        (google_from(f'credentials_credential = "{"a1B2" * 12}/"'), "google.credentials_credential"),
        (key_from(f'api_key_credential = ["{"a1B2" * 12}"]'), "salesloft.api_key_credential"),
    ],
)  # fmt: skip
def test_secret_in_the_place_of_its_name_is_not_shown(folder: Folder, text: str, key: str) -> None:
    folder.write("pam.toml", text)
    mistake = folder.the_mistake()
    assert mistake.key == key
    assert "a1B2" not in str(mistake)


def test_key_from_the_environment(folder: Folder) -> None:
    folder.write("pam.toml", key_from('api_key_env = "SALESLOFT_KEY"'))
    mistake = folder.the_mistake()
    assert (mistake.key, mistake.found) == ("salesloft.api_key_env", "$SALESLOFT_KEY unset")
    folder.env["SALESLOFT_KEY"] = "\n"
    assert folder.the_mistake().found == "$SALESLOFT_KEY empty"
    folder.env["SALESLOFT_KEY"] = API_KEY + " x"
    assert "space" in folder.the_mistake().found
    folder.env["SALESLOFT_KEY"] = API_KEY + "\n"
    assert folder.user().salesloft.api_key.reveal() == API_KEY


def test_name_that_no_variable_has(folder: Folder) -> None:
    folder.write("pam.toml", key_from('api_key_env = "SALESLOFT-KEY"'))
    mistake = folder.the_mistake()
    assert mistake.key == "salesloft.api_key_env"
    assert "environment variable" in mistake.expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (key_from('api_key_file = "salesloft.key"\napi_key_env = "X"'), "salesloft.api_key_env"),
        (
            key_from('api_key_env = "X"\napi_key_credential = "x"'),
            "salesloft.api_key_credential",
        ),
        (
            google_from(GOOGLE_LINE + '\ncredentials_credential = "x"'),
            "google.credentials_credential",
        ),
    ],
)
def test_two_sources_of_one_secret(folder: Folder, text: str, key: str) -> None:
    folder.write("pam.toml", text)
    mistake = folder.the_mistake()
    assert (mistake.key, mistake.expected) == (key, "exactly one of them")
    assert " and " in mistake.found


SYSTEMD = google_from('credentials_credential = "google.json"').replace(
    API_KEY_LINE, 'api_key_credential = "salesloft.key"'
)


@pytest.fixture
def service(folder: Folder) -> Folder:
    """Started by systemd: the secrets are credentials, with the modes that systemd gives them."""
    folder.write("pam.toml", SYSTEMD)
    folder.write("run/google.json", json.dumps(folder.authorized_user()), mode=0o440)
    folder.write("run/salesloft.key", API_KEY + "\n", mode=0o400)
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path / "run")
    text = (folder.path / "pam.toml").read_text()
    subject = 'subject = "pam.beesly@example.com"'
    folder.write("pam.toml", text.replace(subject, 'calendar_id = "pam@example.com"'))
    return folder


def test_credentials_of_systemd(service: Folder) -> None:
    user = service.user()
    assert user.salesloft.api_key.reveal() == API_KEY
    assert user.google.credentials.info == service.authorized_user()
    assert user.google.credentials.kind == "authorized_user"


def test_file_keys_may_name_a_credential_of_systemd(service: Folder) -> None:
    text = (service.path / "pam.toml").read_text()
    path = service.path / "run/google.json"
    service.write(
        "pam.toml",
        text.replace('credentials_credential = "google.json"', f'credentials_file = "{path}"'),
    )
    assert service.check("pam.toml") == ()
    del service.env["CREDENTIALS_DIRECTORY"]
    assert {mistake.key for mistake in service.check("pam.toml")} == {
        "google.credentials_file",
        "salesloft.api_key_credential",
    }


def test_credential_that_everybody_can_read(service: Folder) -> None:
    (service.path / "run/google.json").chmod(0o444)
    mistake = service.the_mistake()
    assert mistake.key == "google.credentials_credential"
    assert "0444" in mistake.found


def test_link_out_of_the_credentials_lends_no_mode(service: Folder) -> None:
    service.write("outside.json", json.dumps(service.authorized_user()), mode=0o440)
    (service.path / "run/google.json").unlink()
    (service.path / "run/google.json").symlink_to("../outside.json")
    assert "0440" in service.the_mistake().found


@pytest.mark.parametrize("directory", [None, "", "relative"])
def test_without_systemd_there_are_no_credentials(service: Folder, directory: str | None) -> None:
    service.env.clear()
    if directory is not None:
        service.env["CREDENTIALS_DIRECTORY"] = directory
    mistakes = service.check("pam.toml")
    assert {mistake.key for mistake in mistakes} == {
        "google.credentials_credential",
        "salesloft.api_key_credential",
    }
    assert all("$CREDENTIALS_DIRECTORY" in mistake.found for mistake in mistakes)


def test_credential_that_the_unit_does_not_load(service: Folder) -> None:
    (service.path / "run/salesloft.key").unlink()
    mistake = service.the_mistake()
    assert mistake.key == "salesloft.api_key_credential"
    assert "no such file" in mistake.found


@pytest.mark.parametrize("name", ["../salesloft.key", "/etc/passwd", "", ".", ".."])
def test_credentials_name_is_no_path(folder: Folder, name: str) -> None:
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path)
    folder.write("pam.toml", key_from(f'api_key_credential = "{name}"'))
    assert folder.the_mistake().key == "salesloft.api_key_credential"


def pem(folder: Folder, what: str) -> str:
    if what == "elliptic":
        key = ec.generate_private_key(ec.SECP256R1())
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    if what == "with a password":
        key = ec.generate_private_key(ec.SECP256R1())
        secret = BestAvailableEncryption(b"x")
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret).decode()
    return folder.private_key.replace("\n", "\\n") if what == "escaped" else "no key at all"


@pytest.mark.parametrize("what", ["elliptic", "with a password", "escaped", "garbage"])
def test_private_key_that_cannot_be_read(folder: Folder, what: str) -> None:
    folder.write_google(folder.service_account(private_key=pem(folder, what)))
    mistake = folder.the_mistake()
    assert mistake.key == "google.credentials_file"
    assert "private_key" in mistake.found
    assert "google.json" in mistake.found


BAD_ACCOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"client_email": None}, 'no "client_email"'),
    ({"private_key": None}, 'no "private_key"'),
    ({"token_uri": None}, 'no "token_uri"'),
    ({"client_email": ""}, '"client_email" without a text'),
    ({"private_key": 3}, '"private_key" without a text'),
    ({"project_id": 3}, '"project_id" without a text'),
    ({"token_uri": "http://oauth2.example.com/token"}, "plain http"),
    ({"token_uri": "https://u:hunter2@oauth2.example.com/token"}, "a user or a password"),
    ({"type": None}, 'no "type"'),
    ({"type": "external_account"}, 'another "type"'),
    ({"type": ["service_account"]}, 'another "type"'),
]


@pytest.mark.parametrize(("changes", "found"), BAD_ACCOUNTS)
def test_service_account_that_cannot_be_used(
    folder: Folder, changes: dict[str, Any], found: str
) -> None:
    folder.write_google(folder.service_account(**changes))
    mistake = folder.the_mistake()
    assert (mistake.file.name, mistake.key) == ("pam.toml", "google.credentials_file")
    assert found in mistake.found
    assert "hunter2" not in str(mistake)


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "refresh_token"])
def test_authorized_user_that_cannot_be_used(folder: Folder, missing: str) -> None:
    folder.write_google(folder.authorized_user(**{missing: None}))
    text = google_from(GOOGLE_LINE).replace('subject = "pam.beesly@example.com"', "")
    folder.write("pam.toml", text + '[policy]\ninternal_domains = ["example.com"]')
    mistake = folder.the_mistake()
    assert mistake.key == "google.credentials_file"
    assert f'no "{missing}"' in mistake.found


def test_all_mistakes_of_one_credentials_file_at_once(folder: Folder) -> None:
    folder.write_google(
        folder.service_account(client_email=None, private_key="x", token_uri="http://example.com")
    )
    assert len(folder.check("pam.toml")) == 3


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9999/token", "https://oauth2.example.com/t"])
def test_token_uri_that_is_allowed(folder: Folder, uri: str) -> None:
    folder.write_google(folder.service_account(token_uri=uri))
    assert folder.user().google.credentials.info["token_uri"] == uri


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"{CLIENT_SECRET}", "no JSON object"),
        (f'"{CLIENT_SECRET}"', "no JSON object"),
        (f'{{"client_secret": "{CLIENT_SECRET}",', "no JSON object"),
        ("[]", "no JSON object"),
        ("[" * 60_000, "no JSON object"),
        ("", "empty"),
        (f'{{"installed": {{"client_secret": "{CLIENT_SECRET}"}}}}', "secret of an OAuth client"),
    ],
)
def test_file_that_is_not_googles(folder: Folder, content: str, found: str) -> None:
    folder.write("google.json", content)
    mistake = folder.the_mistake()
    assert mistake.key == "google.credentials_file"
    assert found in mistake.found


def test_subject_only_with_a_service_account(folder: Folder) -> None:
    folder.write_google(folder.authorized_user())
    mistake = folder.the_mistake()
    assert mistake.key == "google.subject"
    assert "service account" in mistake.expected


def test_service_account_needs_no_subject(folder: Folder) -> None:
    text = PAM.replace('subject = "pam.beesly@example.com"', 'calendar_id = "pam@example.com"')
    folder.write("pam.toml", text)
    assert folder.user().google.subject is None


def shown_forms(value: object) -> list[str]:
    logger = logging.getLogger("test.shown")
    record = logger.makeRecord("x", logging.INFO, "f", 1, "%s %r", (value, value), None)
    return [repr(value), str(value), f"{value}", f"{value!s:>40}", record.getMessage()]


def test_secret_never_shows_itself() -> None:
    secret = Secret(API_KEY)
    shown = [*shown_forms(secret), f"{secret:>40}", secret.digest(), json.dumps([str(secret)])]
    shown.append(repr({"key": secret, "list": [secret]}))
    assert all(API_KEY not in text for text in shown)
    for serialise in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not serialised") as caught:
            serialise(secret)
        assert API_KEY not in "".join(traceback.format_exception(caught.value))
    assert not hasattr(secret, "__dict__")


def test_secret_is_compared_and_told_apart_without_showing() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("a").digest() == Secret("a").digest() != Secret("b").digest()


def test_settings_as_a_whole_show_no_secret(folder: Folder) -> None:
    folder.write_google(folder.authorized_user())
    folder.write(
        "pam.toml",
        PAM.replace('subject = "pam.beesly@example.com"', "")
        + '[policy]\ninternal_domains = ["example.com"]\n'
        '[state]\nurl = "postgresql://me:hunter2@db.example.com/x"\n',
    )
    settings = folder.load("pam.toml")
    assert settings.process.state_url == "postgresql://me:hunter2@db.example.com/x"
    for text in shown_forms(settings):
        assert "pam.toml" in text
        for secret in (API_KEY, CLIENT_SECRET, REFRESH_TOKEN, "hunter2"):
            assert secret not in text
