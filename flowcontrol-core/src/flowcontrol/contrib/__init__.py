"""Hook modules that come with the core and that nobody has to use: name one in ``FLOWCONTROL["PLUGINS"]``."""
