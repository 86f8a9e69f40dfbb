"""Customers, their repairs, and the letters they got."""

from __future__ import annotations

from django.db import models

__all__ = ["Customer", "Letter", "Repair"]


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Repair(models.Model):
    """A bike in the shop. Each stretch of its way is a flow, set off by a change of its status."""

    class Status(models.TextChoices):
        BOOKED = "booked"
        QUOTED = "quoted"
        ACCEPTED = "accepted"
        DECLINED = "declined"
        SCRAPPED = "scrapped"
        READY = "ready"
        COLLECTED = "collected"
        STORED = "stored"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="repairs")
    bike = models.CharField(max_length=100)
    #: What is wrong with which part, in minutes of work: {"brakes": 40}; null minutes mean beyond repair.
    faults = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.BOOKED)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.customer.name}'s {self.bike}"


class Letter(models.Model):
    """A mail that was sent. ``key`` is the step's idempotency key: the same visit never sends twice."""

    repair = models.ForeignKey(Repair, on_delete=models.CASCADE, related_name="letters")
    key = models.CharField(max_length=64, unique=True)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.subject
