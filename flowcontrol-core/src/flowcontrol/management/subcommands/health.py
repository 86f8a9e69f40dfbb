"""``flowcontrol health``: whether the scheduler in use sees to due runs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from ... import conf
from ...schedulers import get_scheduler
from ..output import Console

__all__ = ["health"]


def health(console: Console, options: Namespace) -> int:
    told = get_scheduler().health()
    if options.as_json:
        console.json({"scheduler": conf.settings.SCHEDULER, **asdict(told)})
    else:
        mark = console.good if told.is_well else console.bad
        console.line(
            f"{mark('well' if told.is_well else 'not well')}  {conf.settings.SCHEDULER}: {told.summary}"
        )
        if told.hint:
            console.line(f"-> {told.hint}")
    return 0 if told.is_well else 1
