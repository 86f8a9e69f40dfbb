"""Settings of the bicycle repair shop: a plain Django project with flowcontrol in it."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.core.management.utils import get_random_secret_key
from flowcontrol.plugins import plugin_apps
from flowcontrol_celery import beat_schedule

BASE_DIR = Path(__file__).resolve().parent.parent
#: Where the database and the letters go; the demo brings a fresh folder of its own.
FOLDER = Path(os.environ.get("REPAIRSHOP_FOLDER", BASE_DIR))

# A new key at each start logs everybody out, which is all right for a shop on one's own machine.
SECRET_KEY = os.environ.get("REPAIRSHOP_SECRET_KEY") or get_random_secret_key()
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

# -- flowcontrol: the app, which plugins to use, and the apps of those that have one ------------------------

FLOWCONTROL = {
    "PLUGINS": ["builtin"],
    # Who executes due runs. It is this one setting; no flow knows of it.
    "SCHEDULER": os.environ.get("REPAIRSHOP_SCHEDULER", "polling"),
    "SCHEDULERS": {"celery": {"app": "repairshop.celery:app"}},
}
if FLOWCONTROL["SCHEDULER"] == "celery":
    FLOWCONTROL["PLUGINS"].append("celery")
    CELERY_BROKER_URL = os.environ.get("REPAIRSHOP_BROKER", "redis://127.0.0.1:6379/0")
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}
    CELERY_BEAT_SCHEDULE = beat_schedule(1)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "flowcontrol",
    *plugin_apps(FLOWCONTROL),
    "workshop",
]

# -- Django -------------------------------------------------------------------------------------------------

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "repairshop.sqlite3",
        # Web server and worker write at the same time. A write-ahead log lets readers go on meanwhile; with
        # IMMEDIATE a transaction waits for its turn to write when it begins, where waiting still helps.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
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

ROOT_URLCONF = "repairshop.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
_LETTERS = "django.core.mail.backends.filebased.EmailBackend"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": _LETTERS, "OPTIONS": {"file_path": FOLDER / "letters"}}}
else:
    EMAIL_BACKEND = _LETTERS
    EMAIL_FILE_PATH = FOLDER / "letters"
DEFAULT_FROM_EMAIL = "Spoke & Chain <shop@example.org>"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"flowcontrol": {"handlers": ["console"], "level": os.environ.get("REPAIRSHOP_LOG", "INFO")}},
}
