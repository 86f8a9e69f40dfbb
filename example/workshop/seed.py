"""Four people and their bikes."""

from __future__ import annotations

from .models import Customer, Repair

__all__ = ["BIKES", "book_bikes"]

#: (customer, bike, faults): a small job, a larger one, a dear one, and one that nobody can repair.
BIKES = (
    ("Ada", "city bike", {"tyres": 20}),
    ("Grace", "touring bike", {"brakes": 40, "chain": 30}),
    ("Alan", "racing bike", {"brakes": 30, "chain": 90}),
    ("Edsger", "folding bike", {"tyres": 15, "brakes": None}),
)


def book_bikes() -> list[Repair]:
    """Book the repairs, one after the other; saving each sets off the flow ``intake``."""
    return [_book(*bike) for bike in BIKES]


def _book(name: str, bike: str, faults: dict[str, int | None]) -> Repair:
    customer, _ = Customer.objects.get_or_create(name=name, email=f"{name.lower()}@example.org")
    return Repair.objects.create(customer=customer, bike=bike, faults=faults)
