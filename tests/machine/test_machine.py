"""Any edits, faults and crashes in any order: after one quiet poll Salesloft holds what Google shows."""

from __future__ import annotations

import os
import sys
import time

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import get_state_machine_test

from tests.machine.rules import CalendarMachine

SEQUENCES = int(os.environ.get("STORM_SEQUENCES", "2000"))
STEPS = int(os.environ.get("STORM_STEPS", "50"))
SEED = int(os.environ.get("STORM_SEED", "1"))
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("STORM_SHRINK") else (Phase.generate,)
"""A failing sequence of fifty steps takes minutes to shrink; without, it is printed as it was found."""


def _profile(sequences: int, steps: int, **more: object) -> settings:
    return settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        **more,  # type: ignore[arg-type]
    )


def run(machine: type[CalendarMachine], profile: settings, seed: int) -> None:
    hypothesis.seed(seed)(get_state_machine_test(machine, settings=profile))()


class Counted(CalendarMachine):
    """Says every so often how far the storm is."""

    ended = 0

    def teardown(self) -> None:
        super().teardown()
        Counted.ended += 1
        if Counted.ended % 50 == 0 and sys.__stderr__ is not None:
            sys.__stderr__.write(f"{Counted.ended} sequences\n")
            sys.__stderr__.flush()


def test_any_sequence_of_edits_and_faults_arrives_exactly() -> None:
    run(CalendarMachine, _profile(60, 30, phases=(Phase.generate,)), 20261123)


@pytest.mark.long
def test_storm_of_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    """Another storm than 2,000 × 50 of seed 1: `STORM_SEQUENCES`, `STORM_STEPS`, `STORM_SEED`, `STORM_SHRINK`."""
    began = time.monotonic()
    try:
        run(Counted, _profile(SEQUENCES, STEPS, phases=PHASES), SEED)
    finally:
        with capsys.disabled():
            sys.stdout.write(
                f"\nstorm: {SEQUENCES} sequences of {STEPS} steps, seed {SEED}, {time.monotonic() - began:.0f} s\n"
            )
