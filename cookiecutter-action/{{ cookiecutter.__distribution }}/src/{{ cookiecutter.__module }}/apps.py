"""The app of this pack: models, migrations, pages."""

from __future__ import annotations

from flowcontrol.packs import PackConfig

__all__ = ["{{ cookiecutter.__config_class }}"]


class {{ cookiecutter.__config_class }}(PackConfig):
    name = "{{ cookiecutter.__module }}"
    verbose_name = "{{ cookiecutter.__title }}"
