"""What runs the contenders of ``engine.py`` and reads their answers."""
