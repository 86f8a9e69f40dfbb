"""Settings of the processes of the fault tests; the harness says in the environment which database is theirs."""

from __future__ import annotations

import json
import os

SECRET_KEY = "for tests only"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": json.loads(os.environ["FAULTAPP_DATABASE"])}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "flowcontrol", "faultapp"]
FLOWCONTROL = json.loads(os.environ.get("FAULTAPP_FLOWCONTROL", "{}"))

if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import pymysql

    pymysql.version_info = (2, 2, 7, "final", 1)
    pymysql.install_as_MySQLdb()
