"""A folder of configuration that is right, for tests to spoil."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connector.domain.errors import ConfigurationMistake
from connector.settings.files import check_all, load_settings
from connector.settings.model import Settings, UserSettings

API_KEY = "v2-ak-do-not-print-me"
CLIENT_SECRET = "client-do-not-print-me"
REFRESH_TOKEN = "refresh-do-not-print-me"
PAM_GUID = "00210d1a-df8a-459f-af75-89b953b618b0"
JIM_GUID = "7f1f6a0c-3f0e-4f43-9d0c-5f2f6f6b2a11"

PAM = f"""
[google]
subject = "pam.beesly@example.com"
credentials_file = "google.json"
[salesloft]
user_guid = "{PAM_GUID}"
api_key_file = "salesloft.key"
"""


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


@dataclass
class Folder:
    """A folder of settings; `load` and `check` see no environment but `env`."""

    path: Path
    private_key: str
    env: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str | bytes, mode: int = 0o600) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    def service_account(self, **changes: Any) -> dict[str, Any]:
        info = {
            "type": "service_account",
            "project_id": "project",
            "client_email": "connector@project.iam.example.com",
            "private_key": self.private_key,
            "token_uri": "https://oauth2.example.com/token",
        }
        return _changed(info, changes)

    def authorized_user(self, **changes: Any) -> dict[str, Any]:
        info = {
            "type": "authorized_user",
            "client_id": "client.apps.example.com",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        }
        return _changed(info, changes)

    def write_google(self, info: Mapping[str, Any], name: str = "google.json") -> Path:
        return self.write(name, json.dumps(info))

    def write_secrets(self, under: str = ".") -> None:
        self.write_google(self.service_account(), f"{under}/google.json")
        self.write(f"{under}/salesloft.key", API_KEY + "\n")

    def load(self, name: str = ".") -> Settings:
        return load_settings(self.path / name, env=self.env)

    def user(self, name: str = "pam.toml") -> UserSettings:
        settings = self.load(name)
        assert settings.broken == ()
        (user,) = settings.users
        return user

    def check(self, name: str = ".") -> tuple[ConfigurationMistake, ...]:
        """All mistakes, after making sure that none of them shows a secret."""
        mistakes = check_all(self.path / name, env=self.env)
        shown = " ".join(map(str, mistakes)) + repr(mistakes)
        for secret in (API_KEY, CLIENT_SECRET, REFRESH_TOKEN, *self.private_key.split("\n")[1:-2]):
            assert secret not in shown
        return mistakes

    def the_mistake(self, name: str = "pam.toml") -> ConfigurationMistake:
        mistakes = self.check(name)
        assert len(mistakes) == 1, "\n".join(map(str, mistakes))
        return mistakes[0]


def _changed(info: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """With the changes; one that is None takes the key out."""
    return {key: value for key, value in (info | changes).items() if value is not None}


@pytest.fixture
def folder(tmp_path: Path, private_key: str) -> Folder:
    """Holds the secrets and `pam.toml`, a single file without a mistake."""
    folder = Folder(tmp_path, private_key)
    folder.write_secrets()
    folder.write("pam.toml", PAM)
    return folder


@pytest.fixture
def team(tmp_path: Path, private_key: str) -> Folder:
    """Holds connector.toml with the secrets, and two users without a mistake."""
    folder = Folder(tmp_path, private_key)
    folder.write_secrets()
    folder.write(
        "connector.toml",
        '[google]\ncredentials_file = "google.json"\n[salesloft]\napi_key_file = "salesloft.key"\n',
    )
    folder.write(
        "users/pam.toml",
        f'[google]\nsubject = "pam@example.com"\n[salesloft]\nuser_guid = "{PAM_GUID}"\n',
    )
    folder.write(
        "users/jim.toml",
        f'[google]\nsubject = "jim@example.org"\n[salesloft]\nuser_guid = "{JIM_GUID}"\n',
    )
    return folder
