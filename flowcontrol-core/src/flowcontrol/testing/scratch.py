"""Settings for examining a pack where there is no project: ``DJANGO_SETTINGS_MODULE=flowcontrol.testing.scratch``."""

from __future__ import annotations

import os
import secrets

from ..plugins import plugin_apps

__all__: list[str] = []

#: Names of the plugins, separated by commas.
PLUGINS = os.environ.get("FLOWCONTROL_TESTING_PLUGINS", "*").split(",")
#: A file, where several processes are to see the same.
DATABASE = os.environ.get("FLOWCONTROL_TESTING_DATABASE", ":memory:")

SECRET_KEY = secrets.token_hex()
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FLOWCONTROL = {"PLUGINS": PLUGINS, "PLUGIN_ERRORS": "isolate"}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "flowcontrol",
    *plugin_apps(FLOWCONTROL),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
ROOT_URLCONF = "flowcontrol.testing.scratch_urls"
