"""`status` answers what the contract says, for people and for machines."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.behaviour.command import command
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}
PROMISED = {
    *("last_sync", "freshness", "tracked", "pending", "dead_letters", "connection"),
    *("user", "held", "resync", "message"),
}


async def test_every_promised_fact_has_a_key(office: Office) -> None:
    pam = office.hire("pam")
    pam.create("Pitch", office.clock() + timedelta(hours=4), attendees=[PROSPECT])
    office.hire("jim")
    (office.config / "users" / "jim.toml").rename(office.config / "jim.kept")
    await office.once(full=True)
    (office.config / "jim.kept").rename(office.config / "users" / "jim.toml")
    status, out, err = await command(office, "status", "--json")
    assert (status, err) == (0, "")
    jim, read = json.loads(out)["users"]
    assert read.keys() >= PROMISED
    assert (read["tracked"], read["pending"], read["connection"]) == (1, 0, "ok")
    assert 0 <= read["freshness"] == read["last_sync_age"]
    assert (jim["connection"], jim["freshness"]) == ("never read", None)
