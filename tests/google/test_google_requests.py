"""Requests: what Google allows together, encoded as Google wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl

import pytest

from connector.domain.model import EventId, SyncToken
from connector.google import ApiRequest, CalendarRequests, quota_user
from connector.google.errors import Call
from connector.google.wire import FEED_FIELDS, PAGE_FIELDS

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)
HOLIDAYS = "en.usa#holiday@group.v.calendar.google.com"
FORBIDDEN_WITH_TOKEN = {
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
    "showDeleted",
}


@pytest.fixture
def requests() -> CalendarRequests:
    return CalendarRequests("http://127.0.0.1:1/", "primary")


def query(request: ApiRequest) -> dict[str, str]:
    pairs = parse_qsl(request.url.raw_query_string, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), "a parameter is repeated"
    return dict(pairs)


def test_increment_is_the_full_listing_but_for_time_min(requests: CalendarRequests) -> None:
    full = query(requests.list_all(START, page_size=250))
    increment = query(requests.list_changes(SyncToken("CK_H/+I="), page_size=250))
    assert full.pop("timeMin") == "2026-01-01T00:00:00Z"
    assert increment.pop("syncToken") == "CK_H/+I="
    assert full == increment
    assert full == {
        "singleEvents": "false",
        "maxResults": "250",
        "fields": FEED_FIELDS,
        "alt": "json",
    }


def test_every_page_of_an_increment_repeats_the_sync_token(requests: CalendarRequests) -> None:
    second = query(requests.list_changes(SyncToken("t"), page_size=9, page_token="p&=+"))
    assert second["syncToken"] == "t"
    assert second["pageToken"] == "p&=+"
    assert not FORBIDDEN_WITH_TOKEN & second.keys()


def test_window_and_instances_ask_for_the_living_between_two_moments(
    requests: CalendarRequests,
) -> None:
    bounds = {"timeMin": "2026-01-01T00:00:00Z", "timeMax": "2026-04-01T00:00:00Z"}
    window = query(requests.list_window(START, END, page_size=500, page_token="p"))
    assert window == {
        **bounds,
        "singleEvents": "true",
        "maxResults": "500",
        "pageToken": "p",
        "fields": PAGE_FIELDS,
        "alt": "json",
    }
    instances = requests.instances(EventId("_s/1"), START, END, page_size=500)
    assert instances.url.raw_path.endswith("/calendars/primary/events/_s%2F1/instances")
    assert query(instances) == {
        **bounds,
        "maxResults": "500",
        "fields": PAGE_FIELDS,
        "alt": "json",
    }


def test_paths_stay_encoded_and_below_the_given_root() -> None:
    requests = CalendarRequests("https://private.example.com/google", HOLIDAYS)
    assert str(requests.get_event(EventId("e 1")).url).startswith(
        "https://private.example.com/google/calendar/v3/calendars/"
        "en.usa%23holiday%40group.v.calendar.google.com/events/e%201?"
    )


def test_times_are_sent_in_utc_and_must_have_a_zone(requests: CalendarRequests) -> None:
    new_york = datetime(2026, 1, 1, 0, 0, 0, 999, tzinfo=timezone(timedelta(hours=-5)))
    assert query(requests.list_all(new_york, page_size=1))["timeMin"] == "2026-01-01T05:00:00Z"
    with pytest.raises(ValueError, match="zone"):
        requests.list_all(datetime(2026, 1, 1), page_size=1)  # noqa: DTZ001


def test_quota_user_names_users_apart_without_their_address() -> None:
    one, other = quota_user("pam@example.com"), quota_user("jim@example.com")
    assert one != other
    assert len(one) <= 40
    assert "pam" not in one
    request = CalendarRequests("http://127.0.0.1:1", "primary", quota_user=one).get_event(
        EventId("e")
    )
    assert query(request)["quotaUser"] == one


def test_session_headers_are_left_to_the_session(requests: CalendarRequests) -> None:
    names = {name.lower() for name, _ in requests.get_event(EventId("e")).headers}
    assert not names & {"accept-encoding", "user-agent", "authorization"}
    assert "accept" in names


@pytest.mark.parametrize(
    "token", ["CK_H/+I=", "CPDAl==", "a=b", "a b&c=d%20é", "-place-of-the-token-", "\"'?#[]", ""]
)
@pytest.mark.parametrize("user", [None, "someone", "-place-of-the-token-"])
@pytest.mark.parametrize(
    "calendar_id", ["primary", "a+b@example.com", "en.usa#holiday@v.calendar.google.com", "é/ ~%40"]
)
def test_the_request_of_a_quiet_poll_is_what_the_library_builds(
    token: str, user: str | None, calendar_id: str
) -> None:
    requests = CalendarRequests("https://g.example.com/", calendar_id, quota_user=user)
    quick = requests.list_changes(SyncToken(token), page_size=250)
    built = requests._list(Call.CHANGES, None, singleEvents=False, maxResults=250, syncToken=token)
    assert quick == built
    assert str(quick.url) == str(built.url)
    assert requests.list_changes(SyncToken("next"), page_size=250).url.query["syncToken"] == "next"
    assert requests.list_changes(SyncToken(token), page_size=9).url.query["maxResults"] == "9"


def test_polls_of_two_servers_and_users_are_kept_apart() -> None:
    one = CalendarRequests("https://g.example.com", "primary", quota_user="u")
    other = CalendarRequests("http://127.0.0.1:8080", "primary")
    urls = [str(each.list_changes(SyncToken("t"), page_size=250).url) for each in (one, other, one)]
    assert urls[0] == urls[2]
    assert urls[1].startswith("http://127.0.0.1:8080/calendar/v3/calendars/primary/events?")
    assert "quotaUser" not in urls[1]
