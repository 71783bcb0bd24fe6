"""What must not stand in any file: hosts of package registries, secrets, addresses of real people."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.files import ROOT, texts

# Taken apart, so that this file holds none of them.
REGISTRIES = re.compile(
    r"|".join(
        rf"\b{name}\.{end}\b"
        for name, end in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            (r"registry\.npmjs", "org"),
            (r"(?:deb|security)\.debian", "org"),
            ("crates", "io"),
            (r"proxy\.golang", "org"),
            (r"(?:ghcr|docker|quay)", "io"),
        )
    )
)
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)*[A-Za-z0-9+/]{40}"
    r"|\bAIza[\w-]{35}"
    r"|\bya29\.[\w-]{20}"
    r"|\bgh[pousr]_\w{30}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\b1//0[\w-]{30}"
    r"|\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\."
)
ADDRESS = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")
# RFC 2606; and names that Google itself gives to calendars, accounts and identifiers of meetings.
NOBODY = re.compile(
    r"(?:^|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$"
    r"|(?:^|\.)(?:calendar\.google\.com|iam\.gserviceaccount\.com)$"
    r"|^google\.com$",
    re.IGNORECASE,
)
LOOK_ALIKES = {
    "notexample.com",  # ends like an internal domain, and is none
    "notcalendar.google.com",
    "b.c",
}
RECORDED = {"test.user@gmail.com"}
"""The account of public recordings of Google's answers, which a test compares with."""


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, content in texts().items()
        for match in pattern.finditer(content)
    ]


def test_no_file_names_a_registry() -> None:
    assert found(REGISTRIES) == []


def test_no_file_holds_a_secret() -> None:
    assert found(SECRETS) == []


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE " + "KEY-----\\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj" * 2,
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuvw",
        "1//0" + "gABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh",
    ],
)
def test_a_secret_would_be_found(secret: str) -> None:
    assert SECRETS.search(f'"{secret}"')


def test_nobody_real_is_addressed() -> None:
    real = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, content in texts().items()
        if path.suffix != ".lock" and path.name != "LICENSE"
        for match in ADDRESS.finditer(content)
        if not is_nobodys(match.group(1)) and match.group() not in RECORDED
    ]
    assert real == []


def is_nobodys(domain: str) -> bool:
    """`domain` may be followed by a file's ending: `google-pam@example.com.json`, `gcal-salesloft@pam.service`."""
    domain, dot, ending = domain.rpartition(".")
    if ending not in ("json", "toml", "service"):
        domain += dot + ending
    return ending == "service" or domain in LOOK_ALIKES or NOBODY.search(domain) is not None


@pytest.mark.parametrize("domain", ["gmail.com", "acme.io", "example.com.acme.io"])
def test_somebodys_address_would_be_found(domain: str) -> None:
    assert not is_nobodys(domain)


def test_locks_have_hashes_and_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        content = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,]+\])?==", content, re.MULTILINE)
        assert len(pins) > 10
        assert content.count("--hash=sha256:") >= len(pins)
        assert "index-url" not in content


def test_imports_point_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [tool, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
