"""What steps leave behind. Nothing here is unique: what happens twice has to show."""

from __future__ import annotations

from django.db import models


class Subject(models.Model):
    """What runs and events are about."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Audit(models.Model):
    """A row for each time that a database step was applied, written in the step's own transaction."""

    run = models.BigIntegerField()
    step = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    note = models.CharField(max_length=200, default="")

    def __str__(self) -> str:
        return f"{self.run}/{self.step}"


class Call(models.Model):
    """A row for each call that the outside world received: copied from its own file once a scenario is over."""

    run = models.BigIntegerField()
    step = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    attempt = models.IntegerField()
    worker = models.BigIntegerField()
    began = models.FloatField()
    ended = models.FloatField()

    def __str__(self) -> str:
        return f"{self.run}/{self.step}"


class Claim(models.Model):
    """A row for each change of a run's lease token, written by a trigger in the database."""

    run = models.BigIntegerField()
    old_token = models.CharField(max_length=32)
    new_token = models.CharField(max_length=32)
    #: Until when the old lease lasted, or the run waited.
    old_due_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.run}: {self.old_token} -> {self.new_token}"
