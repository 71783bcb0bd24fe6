"""`/v2/bulk_jobs` and what is below it."""

from __future__ import annotations

from aiohttp import web

from connector.simulator.salesloft.bulk import (
    MAX_RECORDS_A_CALL,
    UPSERT_TYPE,
    BulkJob,
    BulkQueue,
    BulkRecord,
)
from connector.simulator.salesloft.calendar_api import json_object, team_of
from connector.simulator.salesloft.errors import invalid, not_found
from connector.simulator.salesloft.front import Visit
from connector.simulator.salesloft.paging import after_id, check_known, page_of, several
from connector.simulator.salesloft.world import SalesloftWorld

_STATES = ("open", "executing", "done")
_STATUSES = ("pending", "success", "error", "retrying")


def _queue(world: SalesloftWorld, visit: Visit) -> BulkQueue:
    return world.writers[team_of(visit).id].queue


def _job(world: SalesloftWorld, visit: Visit) -> BulkJob:
    job = _queue(world, visit).jobs.get(int(visit.request.match_info["id"]))
    if job is None:
        raise not_found()
    return job


def _open_job(world: SalesloftWorld, visit: Visit) -> BulkJob:
    job = _job(world, visit)
    if job.state != "open":
        raise invalid({"state": "must be open"}, world.switches, world.rng)
    return job


async def create(world: SalesloftWorld, visit: Visit) -> web.Response:
    body = json_object(world, visit)
    mistakes = dict.fromkeys(body.keys() - {"type", "name"}, "is not permitted")
    if body.get("type") is None:
        mistakes["type"] = "is missing"
    elif body["type"] != UPSERT_TYPE:
        mistakes["type"] = "is not a supported type of bulk job"
    if not isinstance(body.get("name"), str | None):
        mistakes["name"] = "must be a string"
    if mistakes:
        raise invalid(mistakes, world.switches, world.rng)
    job = _queue(world, visit).create(body.get("name"), world.now())
    return web.json_response({"data": job.shown()})


async def add_data(world: SalesloftWorld, visit: Visit) -> web.Response:
    body, job = json_object(world, visit), _open_job(world, visit)
    records = body.get("data")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise invalid({"data": "must be an array of objects"}, world.switches, world.rng)
    if len(records) > MAX_RECORDS_A_CALL:
        limit = f"must be {MAX_RECORDS_A_CALL:,} records or less"
        raise invalid({"data": limit}, world.switches, world.rng)
    _queue(world, visit).add(job, records)
    return web.json_response({"data": {"records": len(records)}})


async def update(world: SalesloftWorld, visit: Visit) -> web.Response:
    body, job = json_object(world, visit), _open_job(world, visit)
    ready = body.get("ready_to_execute", False)
    mistakes = dict.fromkeys(body.keys() - {"ready_to_execute", "name"}, "is not permitted")
    if not isinstance(ready, bool):
        mistakes["ready_to_execute"] = "must be true or false"
    if not isinstance(body.get("name"), str | None):
        mistakes["name"] = "must be a string"
    if mistakes:
        raise invalid(mistakes, world.switches, world.rng)
    job.name, job.updated_at = body.get("name", job.name), world.now()
    if ready:
        _queue(world, visit).start(job, visit.at, world.now())
    return web.json_response({"data": job.shown()})


async def get(world: SalesloftWorld, visit: Visit) -> web.Response:
    return web.json_response({"data": _job(world, visit).shown()})


async def list_jobs(world: SalesloftWorld, visit: Visit) -> web.Response:
    query = visit.request.query
    check_known(query, ("state", "id"))
    states, after = several(query, "state", _STATES), after_id(query)
    jobs = [
        job.shown()
        for job in _queue(world, visit).jobs.values()
        if job.id > after and (states is None or job.state in states)
    ]
    return web.json_response({"data": jobs[: page_of(query).size]})


async def list_data(world: SalesloftWorld, visit: Visit) -> web.Response:
    return _records(visit, _job(world, visit).records)


async def results(world: SalesloftWorld, visit: Visit) -> web.Response:
    """Empty until the job is done."""
    job = _job(world, visit)
    return _records(visit, job.records if job.state == "done" else [])


def _records(visit: Visit, records: list[BulkRecord]) -> web.Response:
    """One batch by the cursor `id[gt]`; there are no pages."""
    query = visit.request.query
    check_known(query, ("status", "id"))
    statuses, after = several(query, "status", _STATUSES), after_id(query)
    found = [
        record
        for record in records
        if record.id > after and (statuses is None or record.status in statuses)
    ]
    return web.json_response({"data": [one.shown() for one in found[: page_of(query).size]]})
