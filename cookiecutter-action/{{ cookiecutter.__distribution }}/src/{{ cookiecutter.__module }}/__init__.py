"""{{ cookiecutter.__title }} for flowcontrol. Imports nothing: see ``plugin`` for what is declared."""
