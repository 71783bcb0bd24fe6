"""Backlog and budget over the last hours, as inline SVG. Colours are the style sheet's; titles say it in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connector.observe.history import Sample
from connector.observe.html import Html, h
from connector.observe.snapshot import LANES

WIDTH, HEIGHT = 720, 220
LEFT, BOTTOM, TOP = 72, 30, 20
POINTS = 240


def backlog_chart(samples: Sequence[Sample]) -> Html:
    """What waited, stacked by class of urgency."""
    most = max((sum(sample.backlog) for sample in samples), default=0)
    top = _round_up(most)
    areas = []
    for index, lane in enumerate(LANES):
        low = [sum(sample.backlog[:index]) for sample in samples]
        high = [sum(sample.backlog[: index + 1]) for sample in samples]
        areas.append(_area(samples, low, high, top, f"lane-{lane}"))
    now = sum(samples[-1].backlog) if samples else 0
    return _chart(samples, areas, top, f"Waiting: {now:,} now, at most {most:,} {_span(samples)}")


def budget_chart(samples: Sequence[Sample]) -> Html:
    """Points spent in each 60 s, below their limit."""
    limit = max((sample.limit for sample in samples), default=0.0)
    top = _round_up(max(limit, max((sample.spent for sample in samples), default=0.0)))
    spent = [sample.spent for sample in samples]
    drawn = [_area(samples, [0.0] * len(samples), spent, top, "spent")]
    if samples:
        drawn.append(_line(samples, [sample.limit for sample in samples], top, "limit"))
    most = max(spent, default=0.0)
    return _chart(
        samples,
        drawn,
        top,
        f"Points a minute: at most {most:,.0f} of {limit:,.0f} {_span(samples)}",
    )


def _chart(samples: Sequence[Sample], drawn: Sequence[Html], top: float, title: str) -> Html:
    grid = []
    for share in (0.0, 0.5, 1.0):
        y = _y(top * share, top)
        grid.append(h("line", x1=LEFT, x2=WIDTH, y1=y, y2=y, class_="grid"))
        label = f"{top * share:,.0f}"
        grid.append(h("text", label, x=LEFT - 6, y=y + 4, text_anchor="end"))
    if samples:
        times = ((LEFT, "start", samples[0]), (WIDTH, "end", samples[-1]))
        grid += [
            h("text", f"{one.at:%H:%M} UTC", x=x, y=HEIGHT - 6, text_anchor=anchor)
            for x, anchor, one in times
        ]
    return h(
        "svg",
        h("title", title),
        *drawn,
        *grid,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=title,
        class_="chart",
    )


def _area(
    samples: Sequence[Sample],
    low: Sequence[float],
    high: Sequence[float],
    top: float,
    kind: str,
) -> Html:
    x = _across(samples)
    above = [f"{x(at):.1f},{_y(value, top):.1f}" for at, value in enumerate(high)]
    below = [f"{x(at):.1f},{_y(value, top):.1f}" for at, value in enumerate(low)]
    return h("polygon", points=" ".join([*above, *reversed(below)]), class_=kind)


def _line(samples: Sequence[Sample], values: Sequence[float], top: float, kind: str) -> Html:
    x = _across(samples)
    points = " ".join(f"{x(at):.1f},{_y(value, top):.1f}" for at, value in enumerate(values))
    return h("polyline", points=points, class_=kind)


def _across(samples: Sequence[Sample]) -> Callable[[int], float]:
    """The place of each sample by its time; a lone one stands at the right end."""
    if len(samples) < 2:
        return lambda _: float(WIDTH)
    first = samples[0].at
    whole = max((samples[-1].at - first).total_seconds(), 1.0)
    width = WIDTH - LEFT
    return lambda at: LEFT + width * (samples[at].at - first).total_seconds() / whole


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)


def _round_up(value: float) -> float:
    """The next of 10, 20, 50, 100, 200, …"""
    size = 10.0
    while True:
        for step in (1, 2, 5):
            if value <= step * size:
                return step * size
        size *= 10


def _span(samples: Sequence[Sample]) -> str:
    if len(samples) < 2:
        return "since the start"
    minutes = (samples[-1].at - samples[0].at).total_seconds() / 60
    return (
        f"in the last {minutes / 60:.1f} hours"
        if minutes >= 90
        else f"in the last {minutes:.0f} minutes"
    )
