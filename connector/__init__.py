"""Keeps Salesloft's external calendars true to Google Calendar.

Read ARCHITECTURE.md first: it follows one change to one occurrence of one meeting through the folders below.
"""

__version__ = "0.1.0"
