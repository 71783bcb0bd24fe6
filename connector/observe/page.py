"""The status page as HTML. Shows names as in the configuration's files, ids and reasons; never a calendar's text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector.observe.charts import POINTS, backlog_chart, budget_chart
from connector.observe.history import History
from connector.observe.html import Html, h, joined
from connector.observe.snapshot import LANES, Snapshot, TeamStanding, UserStanding, UserState

USERS_SHOWN = 200
REFUSED_SHOWN = 50
HIDDEN = frozenset(
    {"title", "summary", "description", "location", "organizer", "attendees", "creator"}
)
"""Of an event's explanation, what holds a calendar's words or people: `gcal-salesloft explain` shows these."""
_STATES: dict[UserState, tuple[str, str]] = {
    UserState.OK: ("good", "ok"),
    UserState.WAITING: ("quiet", "not read yet"),
    UserState.PARKED: ("bad", "parked"),
    UserState.LOST: ("bad", "access lost"),
    UserState.PAUSED: ("quiet", "paused"),
    UserState.DISCONNECTED: ("quiet", "disconnected"),
    UserState.LEFT: ("quiet", "left"),
    UserState.MISCONFIGURED: ("bad", "misconfigured"),
}
_NOTHING = ("0", "–")
_URGENCY = {
    UserState.LOST: 0,
    UserState.MISCONFIGURED: 1,
    UserState.PARKED: 2,
    UserState.WAITING: 3,
    UserState.DISCONNECTED: 4,
    UserState.PAUSED: 5,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one page is made of. `age` is the snapshot's, in seconds; `turns` when users were last polled well."""

    snapshot: Snapshot | None
    age: float | None
    history: History
    version: str
    now: datetime
    turns: Mapping[str, datetime]
    explains: bool


def status_page(shown: Shown) -> str:
    """The whole page."""
    snapshot = shown.snapshot
    body: list[Html | None]
    if snapshot is None:
        body = [
            h(
                "p",
                "The state has not answered yet. This page fills in a few seconds.",
                class_="note",
            )
        ]
    else:
        body = [
            _summary(snapshot, shown),
            _users(snapshot, shown),
            _pictures(shown.history),
            _teams(snapshot, shown.now),
            _held(snapshot),
            _refused(snapshot, shown),
        ]
    if shown.explains and snapshot is not None:
        body.append(_explain_form("", "", snapshot))
    return document("Status", body, shown)


def event_page(shown: Shown, user: str, event_id: str, answer: Any, problem: str = "") -> str:
    """What is known of one event; `answer` is any JSON-able structure."""
    body: list[Html | None] = [h("p", h("a", "Back to the status", href="/"))]
    if shown.snapshot is not None:
        body.append(_explain_form(user, event_id, shown.snapshot))
    if problem:
        body.append(h("p", problem, class_="note", role="alert"))
    elif answer is not None:
        body.append(
            h("section", h("h2", "Event ", h("code", event_id), f" of {user}"), structure(answer))
        )
    return document("Event", body, shown)


def document(title: str, body: Iterable[Html | None], shown: Shown) -> str:
    """A page around its content."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="robots", content="noindex, nofollow"),
        h("meta", name="color-scheme", content="light dark"),
        h("title", f"{title} · gcal-salesloft"),
        h("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        h("link", rel="stylesheet", href="/static/status.css"),
        h("script", src="/static/status.js", defer=True),
    )
    as_of = _stamp(shown.snapshot.at) if shown.snapshot else "never"
    header = h(
        "header",
        h("h1", h("a", "gcal-salesloft", href="/")),
        h(
            "p",
            "As of ",
            h("time", as_of, id="as-of"),
            h("span", "", id="live", role="status"),
            class_="as-of",
        ),
    )
    footer = h("footer", h("p", f"Version {shown.version}. ", h("a", "Metrics", href="/metrics")))
    page = h(
        "html",
        head,
        h(
            "body",
            h("a", "Skip to the content", href="#main", class_="skip"),
            header,
            h("main", body, id="main", tabindex="-1"),
            footer,
        ),
        lang="en",
    )
    return f"<!doctype html>{page}"


def _summary(snapshot: Snapshot, shown: Shown) -> Html:
    counts = snapshot.users_by_state()
    bad = sum(
        counts[state] for state in (UserState.PARKED, UserState.LOST, UserState.MISCONFIGURED)
    )
    oldest = min((t.oldest_change for t in snapshot.teams if t.oldest_change), default=None)
    waiting = sum(team.waiting for team in snapshot.teams)
    held = sum(team.held for team in snapshot.teams)
    facts = (
        (
            "Users ok",
            f"{counts[UserState.OK]:,} of {len(snapshot.users):,}",
            "bad" if bad else "good",
        ),
        ("Waiting to be sent", f"{waiting:,}", ""),
        ("Oldest unsent change", _age(oldest, shown.now) if oldest else "none", ""),
        ("Held for you", f"{held:,}", "bad" if held else ""),
        ("Refused", f"{snapshot.dead_letters:,}", "bad" if snapshot.dead_letters else ""),
    )
    cards = [
        h("div", h("dt", name), h("dd", value, class_=kind or None)) for name, value, kind in facts
    ]
    stale = None
    if shown.age is not None and shown.age > 60:
        stale = h(
            "p",
            f"The state has not answered for {shown.age:.0f} s; this is how it was.",
            class_="note",
            role="alert",
        )
    return joined([stale, h("dl", cards, class_="cards", id="summary")])


def _users(snapshot: Snapshot, shown: Shown) -> Html:
    ordered = sorted(
        snapshot.users,
        key=lambda u: (_URGENCY.get(u.state, 8 if u.held or u.dead_letters else 9), u.name),
    )
    rows = [_user(user, shown) for user in ordered[:USERS_SHOWN]]
    more = len(ordered) - len(rows)
    note = (
        h(
            "p",
            f"{more:,} more users, none of them in greater trouble: see ",
            h("code", "gcal-salesloft status"),
            ".",
        )
        if more > 0
        else None
    )
    heads = (
        "User",
        "State",
        "Last read",
        "Waiting",
        "Oldest change",
        "Held",
        "Refused",
        "Unreadable",
    )
    return h(
        "section",
        h("h2", "Users"),
        _table("Users, those in trouble first", heads, rows, "users"),
        note,
    )


def _user(user: UserStanding, shown: Shown) -> Html:
    kind, word = _STATES[user.state]
    reason = user.reason.replace("_", " ") if user.reason else ""
    state: list[Html | str | None] = [h("strong", word, class_=f"state {kind}")]
    if reason and reason != word:
        state.append(f" {reason}")
    if user.since is not None:
        state.append(f", since {_age(user.since, shown.now)}")
    if user.remedy:
        state.append(h("span", user.remedy, class_="remedy"))
    read = max(filter(None, (user.last_success, shown.turns.get(user.name))), default=None)
    cells = (
        ("State", state),
        ("Last read", f"{_age(read, shown.now)} ago" if read else "never"),
        ("Waiting", f"{user.pending:,}"),
        ("Oldest change", _age(user.oldest_change, shown.now) if user.oldest_change else "–"),
        ("Held", _bad(user.held)),
        ("Refused", _bad(user.dead_letters)),
        ("Unreadable", f"{user.set_aside:,}"),
    )
    return _row(user.name, cells)


def _bad(count: int) -> Html | str:
    """A count that somebody must look at, unless it is zero."""
    return h("strong", f"{count:,}", class_="bad") if count else "0"


def _pictures(history: History) -> Html:
    samples = history.points(POINTS)
    legend = h("ul", [h("li", lane, class_=f"lane-{lane}") for lane in LANES], class_="legend")
    return h(
        "section",
        h("h2", "The last hours"),
        h(
            "figure",
            h("figcaption", "Waiting, by class of urgency"),
            backlog_chart(samples),
            legend,
        ),
        h(
            "figure",
            h("figcaption", "Salesloft points spent in each 60 s; the line is the limit"),
            budget_chart(samples),
        ),
        class_="pictures",
        id="pictures",
    )


def _teams(snapshot: Snapshot, now: datetime) -> Html:
    heads = (
        "Team",
        "Points spent",
        "May spend now",
        "Limit",
        "Left to other tools",
        "Salesloft says",
        *(lane.capitalize() for lane in LANES),
        "Oldest change",
    )
    rows = [_team(team, now) for team in snapshot.teams]
    return h(
        "section",
        h("h2", "Teams"),
        _table("Budget and backlog of each Salesloft team", heads, rows, "teams"),
    )


def _team(team: TeamStanding, now: datetime) -> Html:
    told = "–" if team.remaining is None else f"{team.remaining:,.0f} left"
    if team.paused_until is not None and team.paused_until > now:
        told = f"pause until {team.paused_until:%H:%M:%S} UTC"
    cells = [
        ("Points spent", f"{team.spent:,.0f}"),
        ("May spend now", f"{team.left:,.0f}"),
        ("Limit", f"{team.limit:,.0f}"),
        ("Left to other tools", f"{team.reserve:,.0f}"),
        ("Salesloft says", told),
        *((lane.capitalize(), f"{team.backlog.get(lane, 0):,}") for lane in LANES),
        ("Oldest change", _age(team.oldest_change, now) if team.oldest_change else "–"),
    ]
    return _row(team.label, cells)


def _held(snapshot: Snapshot) -> Html | None:
    if not snapshot.differences:
        return None
    rows = [
        _row(
            str(one.id),
            (
                ("User", one.user),
                ("Would cancel", f"{one.gone:,} of {one.tracked:,} events"),
                ("Since", _stamp(one.at)),
            ),
        )
        for one in snapshot.differences
    ]
    return h(
        "section",
        h("h2", "Held for your decision"),
        h(
            "p",
            "A full reading would cancel an implausible share of a calendar. Look with ",
            h("code", "gcal-salesloft held list"),
            ", then ",
            h("code", "held release"),
            " or ",
            h("code", "held discard"),
            ".",
        ),
        _table("Held differences", ("Number", "User", "Would cancel", "Since"), rows, "held"),
    )


def _refused(snapshot: Snapshot, shown: Shown) -> Html | None:
    if not snapshot.refused:
        return None
    rows = []
    for one in snapshot.refused[:REFUSED_SHOWN]:
        event: Html | str = h("code", one.event_id)
        cells = (
            ("Event", event),
            ("When", _stamp(one.at)),
            ("Status", str(one.status)),
            ("Reason", one.reason),
            ("Request", h("code", one.request_id or "–")),
        )
        rows.append(_row(one.user, cells))
    more = snapshot.dead_letters - len(rows)
    return h(
        "section",
        h("h2", "Refused by Salesloft"),
        h(
            "p",
            f"{more:,} older ones are not shown. " if more > 0 else None,
            "See ",
            h("code", "gcal-salesloft dead-letters list"),
            ".",
        ),
        _table(
            "Dead letters, newest first",
            ("User", "Event", "When", "Status", "Reason", "Request"),
            rows,
            "refused",
        ),
    )


def _explain_form(user: str, event_id: str, snapshot: Snapshot) -> Html:
    options = [
        h("option", one.name, value=one.name, selected=one.name == user)
        for one in snapshot.users[:2000]
    ]
    return h(
        "section",
        h("h2", "One event"),
        h(
            "form",
            h("label", "User", for_="explain-user"),
            h("select", options, id="explain-user", name="user", required=True),
            h("label", "Event id", for_="explain-id"),
            h(
                "input",
                id="explain-id",
                name="id",
                value=event_id,
                required=True,
                maxlength=1024,
                autocomplete="off",
                spellcheck="false",
            ),
            h("button", "Explain", type="submit"),
            action="/events",
            method="get",
        ),
        id="explain",
    )


def structure(value: Any, depth: int = 0) -> Html:
    """Any JSON-able structure as nested lists; a calendar's own words are not shown, only that there are some."""
    if depth > 8:
        return h("span", "…")
    if isinstance(value, Mapping):
        pairs = [
            (
                h("dt", str(key).replace("_", " ")),
                h("dd", _hidden(inner) if key in HIDDEN else structure(inner, depth + 1)),
            )
            for key, inner in value.items()
        ]
        return h("dl", pairs, class_="facts") if pairs else h("span", "none")
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [h("li", structure(one, depth + 1)) for one in value[:200]]
        return h("ol", items, class_="facts") if items else h("span", "none")
    if value is None or isinstance(value, bool):
        return h("span", {None: "–", True: "yes", False: "no"}[value])
    return h("span", str(value)[:2000])


def _hidden(value: Any) -> Html:
    return h("span", "given, not shown here" if value else "blank", class_="quiet")


def _table(caption: str, heads: Sequence[str], rows: Sequence[Html], name: str) -> Html:
    head = h("thead", h("tr", [h("th", one, scope="col") for one in heads]))
    return h(
        "div",
        h("table", h("caption", caption), head, h("tbody", rows)),
        class_="scroll",
        id=name,
        role="region",
        aria_label=caption,
        tabindex="0",
    )


def _row(name: str, cells: Iterable[tuple[str, Any]]) -> Html:
    """A row; each cell carries its head, which a narrow screen shows beside it, unless there is nothing in it."""
    return h(
        "tr",
        h("th", name, scope="row"),
        [
            h("td", h("div", value), data_head=head, class_="nil" if value in _NOTHING else None)
            for head, value in cells
        ],
    )


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "–"
    seconds = max(0, int((now - moment) / timedelta(seconds=1)))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
