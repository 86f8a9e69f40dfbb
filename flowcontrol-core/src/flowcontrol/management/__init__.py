"""The command line, ``manage.py flowcontrol``."""
