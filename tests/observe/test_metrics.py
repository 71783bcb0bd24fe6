"""Metrics: each documented, each that an alert or a dashboard names is there, none gives anybody away."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from connector.observe.metrics import Metrics, Standings
from connector.observe.observer import NOBODY, Observer
from connector.observe.snapshot import team_label
from tests.observe.example import NOW, example_snapshot
from tests.project.files import ROOT, text

RULES = ROOT / "docs/alerts/gcal-salesloft.rules.yml"
DASHBOARD = ROOT / "docs/grafana/gcal-salesloft.json"
NAME = re.compile(r"\bgcal_salesloft_\w+")


def registry(*, names: bool = False) -> CollectorRegistry:
    metrics = Metrics("1.2.3")
    metrics.registry.register(Standings(example_snapshot, lambda: NOW, names=names))
    return metrics.registry


def described() -> set[str]:
    """Every metric of ours as it is written in a query, without the parts of a histogram."""
    return {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in registry(names=True).collect()
        if metric.name.startswith("gcal_salesloft_")
    }


def samples() -> set[str]:
    """Every series that there can be."""
    return described() | {
        f"{metric.name}_{part}"
        for metric in registry(names=True).collect()
        if metric.type == "histogram"
        for part in ("bucket", "sum", "count")
    }


def test_every_metric_is_documented_and_no_other() -> None:
    documented = set(
        re.findall(r"^\| `(gcal_salesloft_\w+)`", text("docs/metrics.md"), re.MULTILINE)
    )
    assert documented == described()


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda file: file.name)
def test_every_metric_that_is_used_exists(file: Path) -> None:
    used = set(NAME.findall(file.read_text()))
    assert len(used) > 8
    assert used - samples() == set()


def test_every_alert_is_documented_and_no_other() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    documented = re.findall(r"^\| `(GcalSalesloft\w+)`", text("docs/metrics.md"), re.MULTILINE)
    assert documented == alerts


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    done = subprocess.run(
        [promtool, "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) >= 12
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert all(
            target["expr"].count("(") == target["expr"].count(")") for target in panel["targets"]
        )


def test_the_registry_is_our_own() -> None:
    registry()
    assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("gcal_")]


def test_names_are_labels_only_when_allowed() -> None:
    assert "pam" not in repr(list(registry().collect()))
    assert "pam" in repr(list(registry(names=True).collect()))


def test_what_happens_is_counted() -> None:
    metrics = Metrics("1.2.3")
    team = "0123456789abcdef-01234567"
    metrics.polled("pam", "quiet")
    metrics.polled("pam", "full")
    metrics.token_reset()
    metrics.delivered(team, "accepted", 3.5)
    metrics.delivered(team, "refused", count=2)
    metrics.google_answered("changes", 200, 0.1)
    metrics.google_answered("changes", 0, 60.0)
    metrics.salesloft_answered("POST /v2/calendar/events/upsert", 429, 0.2)
    value = metrics.registry.get_sample_value
    label = {"team": "01234567-0123"}
    assert value("gcal_salesloft_polls_total", {"result": "quiet"}) == 1
    assert value("gcal_salesloft_full_readings_total") == 1
    assert value("gcal_salesloft_token_resets_total") == 1
    assert value("gcal_salesloft_freshness_seconds_sum", label) == 3.5
    assert value("gcal_salesloft_deliveries_total", {**label, "outcome": "refused"}) == 2
    google = {"call": "changes", "result": "no_answer"}
    assert value("gcal_salesloft_google_requests_total", google) == 1
    assert value("gcal_salesloft_google_request_seconds_count", {"call": "changes"}) == 2
    upserts = {"route": "POST /v2/calendar/events/upsert", "result": "429"}
    assert value("gcal_salesloft_salesloft_requests_total", upserts) == 1


def test_a_teams_label_is_short_and_begins_what_logs_show() -> None:
    assert team_label("0123456789abcdef-89abcdef") == "01234567-89ab"
    assert team_label("0123456789abcdef-99abcdef") != team_label("0123456789abcdef-89abcdef")


def test_nobody_listens_to_anything() -> None:
    assert isinstance(NOBODY, Observer)
    NOBODY.polled("pam", "quiet")
    NOBODY.delivered("team", "accepted", 1.0)
