"""The tables as they may stand in one TOML file, every key optional: a file may hold any part, defaults come later.

Types are strict ("30" is not 30, true is not 1), unknown keys are errors. A field's description is what a mistake names
as expected. The defaults live in `model`, so that they are written once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from connector.domain.model import EventType
from connector.domain.policy import DeclinedRule, Disclosure
from connector.settings import values

_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)
_DISCLOSURES = '"full", "busy_only" or "nothing"'
_UP_TO_A_DAY = 'a duration from "1s" to "24h", such as "30s", "5m" or "1h"'
_NAME = "the name of a file (a text, not empty)"
_CREDENTIAL = "the name of a credential of systemd (LoadCredential=NAME:…), without a slash"

Text = Annotated[str, Field(min_length=1)]
CredentialName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@+=-]{1,255}$")]
Choice = Annotated[Disclosure, Field(strict=False)]  # an enum's value is a string in TOML


def _duration(at_least: timedelta, at_most: timedelta) -> BeforeValidator:
    return BeforeValidator(values.duration(at_least, at_most))


class Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


TableT = TypeVar("TableT", bound=Table)


class PushTable(Table):
    enabled: bool | None = Field(default=None, description="true or false")
    address: Annotated[str, AfterValidator(values.push_address)] | None = Field(
        default=None, description=values.PUSH_ADDRESS_EXPECTED
    )
    listen: Annotated[str, AfterValidator(values.listen)] | None = Field(
        default=None, description='an address and a port such as "127.0.0.1:9465" or "[::1]:9465"'
    )
    poll_interval: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )


class GoogleTable(Table):
    calendar_id: Annotated[str, AfterValidator(values.calendar_id)] | None = Field(
        default=None,
        description='a calendar\'s id such as "primary" or an e-mail address, without spaces',
    )
    subject: Annotated[str, AfterValidator(values.address)] | None = Field(
        default=None, description="the e-mail address of the user whom the service account acts for"
    )
    credentials_file: Text | None = Field(default=None, description=_NAME)
    credentials_credential: CredentialName | None = Field(default=None, description=_CREDENTIAL)
    api_url: Annotated[str, AfterValidator(values.endpoint)] | None = Field(
        default=None, description=values.URL_EXPECTED
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, le=10_000_000, description="a whole number of at least 1"
    )
    lost_after: Annotated[timedelta, _duration(_SECOND, 168 * _HOUR)] | None = Field(
        default=None, description='a duration from "1s" to "168h", such as "60s"'
    )
    push: PushTable | None = Field(default=None, description="a table")


class SalesloftTable(Table):
    user_guid: Annotated[str, AfterValidator(values.user_guid)] | None = Field(
        default=None, description="a GUID such as 00210d1a-df8a-459f-af75-89b953b618b0"
    )
    api_key_file: Text | None = Field(default=None, description=_NAME)
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, description="the name of an environment variable"
    )
    api_key_credential: CredentialName | None = Field(default=None, description=_CREDENTIAL)
    api_url: Annotated[str, AfterValidator(values.endpoint)] | None = Field(
        default=None, description=values.URL_EXPECTED
    )
    points_per_minute: int | None = Field(
        default=None, ge=1, le=100_000, description="a whole number from 1 to 100000"
    )
    reserve: float | None = Field(
        default=None, ge=0, lt=1, description="a share from 0.0 and below 1.0, such as 0.05"
    )
    bulk_threshold: int | None = Field(
        default=None, ge=1, le=1_000_000, description="a whole number from 1 to 1000000"
    )
    bulk_patience: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )


class PolicyTable(Table):
    internal_domains: Annotated[frozenset[str], BeforeValidator(values.internal_domains)] | None = (
        Field(
            default=None, description='a list of bare domains such as ["example.com"], at least one'
        )
    )
    private: Choice | None = Field(default=None, description=_DISCLOSURES)
    internal: Choice | None = Field(default=None, description=_DISCLOSURES)
    declined: Annotated[DeclinedRule, Field(strict=False)] | None = Field(
        default=None, description='"transparent", "as_is" or "nothing"'
    )
    video_link_as_location: bool | None = Field(default=None, description="true or false")
    event_types: dict[Annotated[EventType, Field(strict=False)], Choice] | None = Field(
        default=None, description=_DISCLOSURES
    )


class SyncTable(Table):
    poll_interval: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )
    poll_interval_idle: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )
    past_days: int | None = Field(
        default=None, ge=0, le=366, description="a whole number of days from 0 to 366"
    )
    hold_share: float | None = Field(
        default=None, gt=0, le=1, description="a share above 0.0 and up to 1.0, such as 0.3"
    )
    hold_minimum: int | None = Field(
        default=None, ge=1, le=100_000, description="a whole number from 1 to 100000"
    )
    future_days: int | None = Field(
        default=None,
        ge=1,
        le=90,
        description="a whole number of days from 1 to 90 (nobody can book later than 90 days from now)",
    )
    verify: Literal["nightly", "never"] | None = Field(
        default=None, description='"nightly" or "never"'
    )
    verify_repair: bool | None = Field(default=None, description="true or false")


class BookingsTable(Table):
    enabled: bool | None = Field(default=None, description="true or false")
    interval: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )
    send_updates: Literal["all", "externalOnly", "none"] | None = Field(
        default=None, description='"all", "externalOnly" or "none"'
    )
    conference: Literal["none", "hangoutsMeet"] | None = Field(
        default=None, description='"none" or "hangoutsMeet"'
    )


class RosterTable(Table):
    mode: Literal["files", "settings", "both"] | None = Field(
        default=None, description='"files", "settings" or "both"'
    )
    interval: Annotated[timedelta, _duration(_SECOND, 24 * _HOUR)] | None = Field(
        default=None, description=_UP_TO_A_DAY
    )
    keep_state_for: Annotated[timedelta, _duration(_HOUR, 87_600 * _HOUR)] | None = Field(
        default=None, description='a duration from "1h" to "87600h", such as "720h" (30 days)'
    )


class StateTable(Table):
    url: Annotated[str, AfterValidator(values.state_url)] | None = Field(
        default=None,
        description='"sqlite:////absolute/path", "sqlite:///path/relative/to/this/file" or "postgresql://…"',
    )


class EngineTable(Table):
    kind: Literal["local", "distributed"] | None = Field(
        default=None, description='"local" or "distributed"'
    )
    lease: Annotated[timedelta, _duration(2 * _SECOND, _HOUR / 12)] | None = Field(
        default=None, description='a duration from "2s" to "5m", such as "10s"'
    )


class ObservabilityTable(Table):
    listen: Annotated[str, AfterValidator(values.listen)] | None = Field(
        default=None, description='an address and a port such as "127.0.0.1:9464" or "[::1]:9464"'
    )
    log_format: Literal["text", "json"] | None = Field(default=None, description='"text" or "json"')
    token_file: Text | None = Field(default=None, description=_NAME)
    token_credential: CredentialName | None = Field(default=None, description=_CREDENTIAL)
    user_labels: bool | None = Field(default=None, description="true or false")


class Tables(Table):
    """One whole file. A table that is absent is an empty one."""

    google: GoogleTable = GoogleTable()
    salesloft: SalesloftTable = SalesloftTable()
    policy: PolicyTable = PolicyTable()
    sync: SyncTable = SyncTable()
    bookings: BookingsTable = BookingsTable()
    roster: RosterTable = RosterTable()
    state: StateTable = StateTable()
    engine: EngineTable = EngineTable()
    observability: ObservabilityTable = ObservabilityTable()


PROCESS_TABLES = ("state", "engine", "observability")
"""What belongs to the process rather than to one user."""

TABLES: dict[str, type[Table]] = {
    "google": GoogleTable,
    "salesloft": SalesloftTable,
    "policy": PolicyTable,
    "sync": SyncTable,
    "bookings": BookingsTable,
    "roster": RosterTable,
    "state": StateTable,
    "engine": EngineTable,
    "observability": ObservabilityTable,
}

EXPECTED: dict[str, str] = {
    f"{name}.{key}": str(field.description)
    for name, table in TABLES.items()
    for key, field in table.model_fields.items()
}
EXPECTED |= {
    f"google.push.{key}": str(field.description) for key, field in PushTable.model_fields.items()
}
"""Every key, dotted, with what may stand there."""


def overlaid(defaults: TableT, own: TableT) -> TableT:
    """`own` over `defaults`, key by key; in both, only keys that were written count."""
    return defaults.model_copy(update=written(own))


def written(table: Table, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys that a file wrote, with their values."""
    return {key: getattr(table, key) for key in table.model_fields_set if key not in without}
