"""The thirteen actions that flowcontrol comes with. Imports nothing: see ``plugin`` for what is declared."""
