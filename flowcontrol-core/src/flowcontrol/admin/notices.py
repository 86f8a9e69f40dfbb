"""What whoever looks at flows should know about plugins: which cannot be used, and which workers have others."""

from __future__ import annotations

from django.utils.translation import gettext as _

from .. import engine, plugins

__all__ = ["notices"]


def notices() -> list[str]:
    """A sentence or two for each; none when all is well. One query."""
    broken = [
        _("The %(plugin)s cannot be used. %(reason)s") % {"plugin": report.title, "reason": report.reason}
        for report in plugins.current().problems
    ]
    workers = [
        _("The worker %(name)s has other plugins than this page: %(told)s.") % {"name": name, "told": told}
        for name, told in engine.differing_workers().items()
    ]
    return broken + workers
