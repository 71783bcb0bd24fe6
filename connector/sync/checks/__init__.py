"""What `doctor` concludes from its evidence. Pure: each function takes what was seen and gives checks.

`model` is a check with its verdict; `process`, `salesloft`, `google` and `push` judge. The looking is done by
`app/doctor.py`.
"""

from connector.sync.checks.model import Check, Verdict, failed, ok, warning

__all__ = ["Check", "Verdict", "failed", "ok", "warning"]
