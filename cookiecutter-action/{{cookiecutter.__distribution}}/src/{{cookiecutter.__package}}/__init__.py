"""{{ cookiecutter.description|replace('\\', '\\\\')|replace('"', '\\"') }}"""
