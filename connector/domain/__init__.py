"""What the connector knows of calendars, without any I/O, clock, randomness or logging.

Imports nothing of the project. Files in the order in which a change flows: `model` (what Google tells), `window`,
`occurrences` (what became of each occurrence), `policy` (what may leave), `mapping` (the payload and its fingerprint),
`plan` (what must be sent). `errors` is the one tree of errors, `rate` the pure arithmetic of request budgets.
"""
