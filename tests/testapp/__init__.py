"""Models for tests: what a project's own look like."""
