"""The simulators, judged by themselves."""
