"""The simulated Salesloft, call by call."""
