"""The examples in config/ work as they are, and every key is documented with its true default."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from connector.domain.model import EventType
from connector.domain.policy import DeclinedRule, Disclosure
from connector.settings.tables import EXPECTED, TABLES

from .conftest import Folder

ROOT = Path(__file__).parents[2]
COMMENTED_KEY = re.compile(r"^#(?=[a-zA-Z_]+ = )", re.MULTILINE)
ALTERNATIVES = re.compile(
    r"^(credentials_credential|api_key_env|api_key_credential|token_credential) = .*\n",
    re.MULTILINE,
)
UNSET_BY_DEFAULT = re.compile(
    r'^(?:(?:poll_interval_idle|listen|token_file|address) = .*|poll_interval = "15m")\n',
    re.MULTILINE,
)
KEYS = [*EXPECTED, *(f"policy.event_types.{one.value}" for one in EventType)]


@pytest.fixture
def examples(tmp_path: Path, private_key: str) -> Folder:
    """config/ as a user copies it, with the two secrets added."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    folder = Folder(tmp_path / "config", private_key)
    folder.write_secrets()
    return folder


def test_examples_load(examples: Folder) -> None:
    assert examples.check() == ()
    settings = examples.load()
    assert [user.name for user in settings.users] == ["jim", "pam"]
    assert settings.broken == ()
    jim = settings.users[0]
    assert jim.policy.event_types[EventType.OUT_OF_OFFICE] is Disclosure.NOTHING


@pytest.mark.parametrize("name", ["users/pam.toml", "users/jim.toml", "single-user.toml"])
def test_each_example_loads_alone(examples: Folder, name: str) -> None:
    assert examples.user(name).policy.internal_domains >= {"example.com"}


def test_single_user_with_a_signed_in_person(examples: Folder) -> None:
    examples.write_google(examples.authorized_user())
    user = examples.user("single-user.toml")
    assert user.google.credentials.kind == "authorized_user"


def test_single_user_with_a_service_account(examples: Folder) -> None:
    text = (examples.path / "single-user.toml").read_text()
    examples.write("single-user.toml", COMMENTED_KEY.sub("", text))
    assert examples.user("single-user.toml").google.subject == "pam.beesly@example.com"


def test_commented_keys_show_their_defaults(examples: Folder) -> None:
    before = examples.load()
    text = (examples.path / "connector.toml").read_text()
    everything = COMMENTED_KEY.sub("", text)
    assert len(everything) < len(text) - 20
    for name in ("users/pam.toml", "users/jim.toml"):
        users = (examples.path / name).read_text()
        examples.write(name, COMMENTED_KEY.sub("", users))
    examples.write("connector.toml", UNSET_BY_DEFAULT.sub("", ALTERNATIVES.sub("", everything)))
    after = examples.load()
    assert after == before
    assert after.process.state_url == before.process.state_url


def test_unset_keys_of_the_example_can_be_set(examples: Folder) -> None:
    text = (examples.path / "connector.toml").read_text()
    examples.write("connector.toml", ALTERNATIVES.sub("", COMMENTED_KEY.sub("", text)))
    examples.write("observability.token", "0123456789abcdef")
    settings = examples.load()
    assert settings.process.token is not None
    assert settings.process.listen == "127.0.0.1:9464"
    assert settings.process.push_listen == "127.0.0.1:9465"
    assert {user.google.push.address for user in settings.users} == {
        "https://calendar.example.com/google/notifications"
    }
    assert {user.sync.poll_interval_idle is None for user in settings.users} == {False}


def test_alternatives_are_alternatives(examples: Folder) -> None:
    text = (examples.path / "connector.toml").read_text()
    examples.write("connector.toml", COMMENTED_KEY.sub("", text))
    assert {mistake.expected for mistake in examples.check()} == {"exactly one of them"}


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_an_example(key: str) -> None:
    *tables, name = key.split(".")
    table = ".".join(tables)
    if key == "policy.event_types":
        table, name = key, "default"
    if key == "google.push":
        table, name = key, "address"
    for example in (ROOT / "config").rglob("*.toml"):
        data = tomllib.loads(COMMENTED_KEY.sub("", example.read_text()))
        for part in table.split("."):
            data = data.get(part, {})
        if name in data:
            return
    pytest.fail(f"{key} is in no example")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_its_row_in_the_documentation(key: str) -> None:
    table, _, name = key.rpartition(".")
    text = (ROOT / "docs/configuration.md").read_text()
    sections = re.split(r"^(?:## )?`\[", text, flags=re.MULTILINE)
    (section,) = [one for one in sections if one.startswith(f"{table}]`")]
    assert re.search(rf"^\| `{name}`( \([^|]*\))? \|", section, re.MULTILINE), key


def test_documentation_names_no_key_that_is_gone() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    named = set(re.findall(r"^\| `([a-zA-Z_]+)`", text, re.MULTILINE))
    known = {key.rpartition(".")[2] for key in KEYS}
    assert named - known - {"full"} <= {"google", "policy", "salesloft", "sync"}
    assert known <= named


def test_every_table_of_a_file_is_listed() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    assert [name for name in TABLES if f"## `[{name}]`" not in text] == []


@pytest.mark.parametrize("choice", [*Disclosure, *DeclinedRule])
def test_every_choice_of_the_policy_is_documented(choice: str) -> None:
    assert f'`"{choice}"`' in (ROOT / "docs/configuration.md").read_text()
