"""The state machine of issue 3: any edits, faults and crashes in any order, and the invariant after a quiet cycle.

Read `driver` (one company, its connector and everything that can happen to both), then `judge` (what Salesloft must
hold: a reading of the contract that shares no code with the connector), then `rules` (the machine itself).
"""
