"""Logs and the service manager's signals. Imports nothing of the project but `domain`.

Logs go to stderr, one line per thing that matters, with stable event names; they hold user names and event ids, never
calendar text, addresses or secrets.
"""
