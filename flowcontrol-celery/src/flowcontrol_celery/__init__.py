"""Runs of flowcontrol on Celery. Imports neither Celery nor models: settings use ``beat_schedule``."""

from .schedule import beat_schedule

__all__ = ["beat_schedule"]
