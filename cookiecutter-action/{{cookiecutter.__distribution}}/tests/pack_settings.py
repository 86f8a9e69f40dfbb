"""Settings of the tests: a project with nothing but flowcontrol and this pack."""

from flowcontrol.plugins import plugin_apps

SECRET_KEY = "test"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FLOWCONTROL = {"PLUGINS": ["{{ cookiecutter.pack_name }}"]}
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
