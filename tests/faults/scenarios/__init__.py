"""The scenarios, one module each: ``play(game)``, and ``SETTINGS`` where it wants others."""
