"""Translations of plugins that are no Django app: Django looks for catalogues in INSTALLED_APPS only.

    from flowcontrol.translations import catalogue

    _ = catalogue("flowcontrol_actions_acme")

The catalogues are where an app has them, ``locale/<language>/LC_MESSAGES/django.mo`` in the package, and
``django-admin makemessages`` and ``compilemessages`` write them there.
"""

from __future__ import annotations

import gettext as catalogues
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

from django.utils import translation
from django.utils.functional import lazy

__all__ = ["catalogue"]


def catalogue(package: str) -> Callable[[str], str]:
    """A ``gettext_lazy`` that looks into the catalogues of this package first, and into those of Django after that.

    The text is looked up when it is read, in the language that is active then. Without a translation it stays as it is.
    """
    return partial(_lazily, package)


def _translated(package: str, text: str) -> str:
    language = translation.get_language()
    found = _catalogue_of(package, language).gettext(text) if language else text
    return found if found != text else translation.gettext(text)


_lazily = lazy(_translated, str)


@cache
def _catalogue_of(package: str, language: str) -> catalogues.NullTranslations:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ModuleNotFoundError(
            f'There is no package "{package}"; give catalogue() the one that has locale/.'
        )
    locale = translation.to_locale(language)
    # "de_AT" falls back to "de" by gettext's own rules.
    return catalogues.translation("django", Path(folders[0]) / "locale", [locale], fallback=True)
