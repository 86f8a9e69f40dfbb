"""Expressions of flow authors: Django's ``{% if %}`` syntax, parsed by Django, evaluated by our own resolver.

Django's own evaluation calls methods and reads whatever it finds. Ours reads plain data, the fields of model objects
that are not denied, and nothing else; nothing is ever called but filters from a list.
"""

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .budget import MAX_WORK, TooMuchWork
    from .filters import filter_names, register_filter, unregister_filter
    from .parser import Expression, compile_expression
    from .scope import RESERVED_NAMES, Scope
    from .template import Template, compile_template
else:
    __getattr__ = exports(
        __name__,
        {
            "budget": ["MAX_WORK", "TooMuchWork"],
            "filters": ["filter_names", "register_filter", "unregister_filter"],
            "parser": ["Expression", "compile_expression"],
            "scope": ["RESERVED_NAMES", "Scope"],
            "template": ["Template", "compile_template"],
        },
    )

__all__ = [
    "MAX_WORK",
    "RESERVED_NAMES",
    "Expression",
    "Scope",
    "Template",
    "TooMuchWork",
    "compile_expression",
    "compile_template",
    "filter_names",
    "register_filter",
    "unregister_filter",
]
