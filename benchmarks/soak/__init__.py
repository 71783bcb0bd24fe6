"""A soak: a company of some hundred sellers who edit all the time, and the real daemon, for half an hour.

    make soak ARGS="--minutes 30 --users 200 --seed 1"        # .venv/bin/python -m benchmarks.soak …

Both simulators run in this process, the daemon and every command in processes of their own. Read `plants` (what must be
found nowhere), `company` (who works there and what they do), `disturbances` (what goes wrong meanwhile), `gauges` (what
is measured), `search` (where planted words are looked for) and `course` (a soak from its start to its verdict).
"""
