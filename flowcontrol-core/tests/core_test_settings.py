"""Settings of the tests. ``FLOWCONTROL_TEST_DATABASE`` chooses ``sqlite`` (default), ``postgresql`` or ``mariadb``.

Where the services are: ``FLOWCONTROL_TEST_POSTGRESQL_HOST``, ``…_PORT``, ``…_USER``, ``…_PASSWORD``, and the same for
``MARIADB``.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

_KIND = os.environ.get("FLOWCONTROL_TEST_DATABASE", "sqlite")


def _service(kind: str, engine: str, user: str, port: str) -> dict[str, Any]:
    def option(name: str, default: str) -> str:
        return os.environ.get(f"FLOWCONTROL_TEST_{kind.upper()}_{name}", default)

    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": option("NAME", "flowcontrol"),
        "HOST": option("HOST", "127.0.0.1"),
        "PORT": option("PORT", port),
        "USER": option("USER", user),
        "PASSWORD": option("PASSWORD", ""),
        "TEST": {"NAME": "test_flowcontrol"},
    }


def _database(kind: str) -> dict[str, Any]:
    if kind == "postgresql":
        return _service(kind, "postgresql", os.environ.get("USER", "root"), "5432")
    if kind == "mariadb":
        # Pure Python, so that nobody needs a compiler to run the tests.
        import pymysql

        pymysql.version_info = (2, 2, 7, "final", 0)
        pymysql.install_as_MySQLdb()
        return _service(kind, "mysql", "root", "3306") | {"OPTIONS": {"charset": "utf8mb4"}}
    if kind != "sqlite":
        raise ValueError(f"FLOWCONTROL_TEST_DATABASE is {kind!r}; it is one of sqlite, postgresql, mariadb.")
    # A file, so that tests can have several processes.
    folder = Path(tempfile.gettempdir()) / f"flowcontrol-tests-{os.getuid() if hasattr(os, 'getuid') else 0}"
    folder.mkdir(exist_ok=True)
    name = str(folder / f"{os.getpid()}.sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
        "TEST": {"NAME": name},
    }


SECRET_KEY = "for tests only"  # noqa: S105  no secret: tests only
DATABASES = {"default": _database(_KIND)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
ROOT_URLCONF = "core_test_urls"
STATIC_URL = "/static/"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "flowcontrol",
    "testapp",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
