"""The composition root: the only package that knows every part.

`parts` puts them together for the users of some settings; `daemon` and `one_shot` are what is done with them. Each
takes validated settings and gives an exit status or a summary.
"""

from connector.app.daemon import run_daemon
from connector.app.one_shot import run_dry, run_once
from connector.app.opening import state_place
from connector.sync.summary import Summary

__all__ = ["Summary", "run_daemon", "run_dry", "run_once", "state_place"]
