"""Settings of the tests: a project with nothing but flowcontrol and this pack."""

from flowcontrol.plugins import plugin_apps

SECRET_KEY = "test"
USE_TZ = True
#: A file, and none in memory: a scheduler's threads open the tests' database, too.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "pack.sqlite3",
        "TEST": {"NAME": "test_pack.sqlite3"},
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FLOWCONTROL = {"PLUGINS": ["http"]}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "flowcontrol",
    *plugin_apps(FLOWCONTROL),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
ROOT_URLCONF = "flowcontrol.urls"
