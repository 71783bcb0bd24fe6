"""Promises of the settings: what is accepted, what is refused and how, and that no secret is ever shown."""
