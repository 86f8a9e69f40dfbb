"""The Django project in which the tests of every distribution run, together or alone against a wheel."""
