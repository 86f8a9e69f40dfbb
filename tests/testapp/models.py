"""Models with keys of every kind, and with things that no expression may reach."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(blank=True, default="")
    is_active = models.BooleanField(default=True)
    points = models.IntegerField(default=0)
    password = models.CharField(max_length=100, blank=True, default="")
    api_token = models.CharField(max_length=100, blank=True, default="")
    joined = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    @property
    def greeting(self) -> str:
        return f"Dear {self.name}"

    def shout(self) -> str:
        return self.name.upper()


class UuidThing(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class SlugThing(models.Model):
    code = models.CharField(primary_key=True, max_length=50)

    def __str__(self) -> str:
        return self.code
