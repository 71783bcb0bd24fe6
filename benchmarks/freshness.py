"""From a change at Google to Salesloft's acceptance: 1,000 sellers in the worst minutes of an hour.

.venv/bin/python -m benchmarks freshness
"""

from __future__ import annotations

from benchmarks.fleet import PICTURE, QUICK_PACE, Drive, company_of, drive_in, result_of
from benchmarks.result import Benchmark, Result

ABOUT = """
{sellers} sellers as the workload model has them, {occurrences} occurrences in each window, {teams} teams of
{points} points a minute, which the simulated Salesloft enforces; `poll_interval` {interval}; bookings and
roster look-ups on, as by default. After the initial sync of {all_occurrences} occurrences the real program has one
core, and both simulators, in processes of their own, the other. The worst of the model is played,
the first {minutes} minutes of a full hour on a working day: the burst, ten times the usual rate. No time is
compressed (factor 1). {changes} changes were made; {silent} of them alter nothing that Salesloft may hold
(the title of an internal meeting), and {taken_back} were taken back before anybody saw them. A change has
arrived with the last of its occurrences that Salesloft accepted. The ratio is to the poll interval: on
average a change waits for half of it before it can be seen at all.
"""
SELLERS = 1_000
SECONDS = 180.0


def run(quick: bool) -> Result:
    company = (
        company_of(4, "1s", 1, teams=1, occurrences=8, pace=QUICK_PACE)
        if quick
        else company_of(SELLERS, "30s", None, teams=None, occurrences=450)
    )
    return result_of(drive_in(Drive(company, 1, 1.5 if quick else SECONDS)))


BENCHMARK = Benchmark("freshness", "Freshness of 1,000 sellers", ABOUT, run, PICTURE, seconds=1500)
