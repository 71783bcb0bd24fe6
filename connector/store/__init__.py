"""What must survive: the sync tokens, what Salesloft was told, what still has to be sent.

Read `schema` first, then `commit` (the one transaction that everything rests on), `outbox` (claim and settle) and
`database` (one writer thread, group commit). Imports only `domain`. Withheld text never gets here: the outbox holds
payloads as the policy allows them, the occurrences hold ids, times and fingerprints.
"""

from connector.store.database import Database
from connector.store.place import (
    StatePlace,
    is_locked,
    lock_state,
    no_state,
    open_copy,
    open_database,
    open_reader,
)
from connector.store.server import Server
from connector.store.state import CalendarState, State

__all__ = [
    "CalendarState",
    "Database",
    "Server",
    "State",
    "StatePlace",
    "is_locked",
    "lock_state",
    "no_state",
    "open_copy",
    "open_database",
    "open_reader",
]
