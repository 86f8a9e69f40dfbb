"""Runs of flowcontrol on the tasks of Django. Imports nothing, so that settings may be read at any time."""

__all__: list[str] = []
