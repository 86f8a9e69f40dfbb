"""Durable workflows for Django, whose actions, triggers and schedulers are pip-installable plugins.

This module is imported by settings, by every pack and by every command: it holds two constants and
imports nothing, so that neither Django's settings nor its app registry need to be ready.
"""

__all__ = ["API_VERSION", "__version__"]

__version__ = "0.1.0"

#: Version of the contract with packs (hooks, declarations, ``flowcontrol.base``), apart from the version
#: of the distribution. A plugin names the least it needs; the major number has to be the same.
API_VERSION = "1.0"
