"""Settings for examining a pack where there is no project: ``DJANGO_SETTINGS_MODULE=flowcontrol.testing.scratch``."""

from __future__ import annotations

import os
import secrets

from ..plugins import plugin_apps

__all__: list[str] = []

#: Names of the plugins, separated by commas.
PLUGINS = os.environ.get("FLOWCONTROL_TESTING_PLUGINS", "*").split(",")

SECRET_KEY = secrets.token_hex()
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FLOWCONTROL = {"PLUGINS": PLUGINS, "PLUGIN_ERRORS": "isolate"}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "flowcontrol",
    *plugin_apps(FLOWCONTROL),
]
ROOT_URLCONF = "flowcontrol.urls"
