"""The company of `demo` and `simulate`: three sellers, as both simulators and a configuration need them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

DOMAIN = "example.com"
API_KEY = "simulated-key"
STATE_FILE = "state.db"
PAST_DAYS = 30
FUTURE_DAYS = 90


@dataclass(frozen=True, slots=True)
class Seller:
    """One seller. `delegated`: read through the service account, else with the seller's own consent."""

    name: str
    full_name: str
    time_zone: str
    user_guid: str
    delegated: bool = True

    @property
    def email(self) -> str:
        return f"{self.full_name.lower().replace(' ', '.')}@{DOMAIN}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def calendar_id(self) -> str:
        """Salesloft's name of the seller's external calendar."""
        return f"external_{self.user_guid}"


PAM = Seller("pam", "Pam Beesly", "America/New_York", "00210d1a-df8a-459f-af75-89b953b618b0")
JIM = Seller("jim", "Jim Halpert", "America/Los_Angeles", "7f1f6a0c-3f0e-4f43-9d0c-5f2f6f6b2a11")
ANDY = Seller(
    "andy", "Andy Bernard", "Europe/Berlin", "b3c1a6de-52f3-4a1b-8b39-3f0b6d0f9c42", delegated=False
)
SELLERS = (PAM, JIM, ANDY)


def world() -> dict[str, Any]:
    """Accounts, calendars (still empty) and users, in the form that `simulator.processes` reads."""
    return {
        "google": {
            "calendars": [
                {"email": seller.email, "time_zone": seller.time_zone} for seller in SELLERS
            ],
            "authorized_users": [seller.email for seller in SELLERS if not seller.delegated],
            "push": {"allow_http": True},
        },
        "salesloft": {
            "teams": [
                {
                    "key": API_KEY,
                    "users": [
                        {
                            "email": seller.email,
                            "guid": seller.user_guid,
                            "name": seller.full_name,
                            "time_zone": seller.time_zone,
                        }
                        for seller in SELLERS
                    ],
                }
            ]
        },
    }


def configuration(google_url: str, salesloft_url: str) -> dict[str, str]:
    """The files of a configuration directory by their names in it, credentials excepted."""
    files = {"connector.toml": _PROCESS.format(google_url=google_url, salesloft_url=salesloft_url)}
    for seller in SELLERS:
        files[f"users/{seller.name}.toml"] = _user(seller)
    return files


def _user(seller: Seller) -> str:
    google = f"subject = {json.dumps(seller.email)}"
    if not seller.delegated:
        google = f'credentials_file = "../google-{seller.email}.json"'
    return f"[google]\n{google}\n\n[salesloft]\nuser_guid = {json.dumps(seller.user_guid)}\n"


_PROCESS = f"""\
# Connects to Google and Salesloft as simulated on this machine; see docs/demo.md.

[google]
# Of a simulated service account that may act for every seller. The address of its tokens is in it.
credentials_file = "google.json"
api_url = "{{google_url}}"

[salesloft]
api_key_file = "salesloft.key"
api_url = "{{salesloft_url}}"

[policy]
internal_domains = ["{DOMAIN}"]

[sync]
poll_interval = "1s"
past_days = {PAST_DAYS}
future_days = {FUTURE_DAYS}

[bookings]
interval = "1s"

[state]
url = "sqlite:///{STATE_FILE}"
"""
