"""The simulated Google Calendar."""
