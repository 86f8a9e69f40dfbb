"""The counter: staff see the repairs here, and do by hand what the demo does by itself."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .counter import answer_quote, hand_over
from .models import Customer, Letter, Repair


class LetterInline(admin.TabularInline):
    model = Letter
    fields = readonly_fields = ["sent_at", "subject", "text"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Repair | None = None) -> bool:
        return False


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "email"]
    search_fields = ["name", "email"]


@admin.register(Repair)
class RepairAdmin(admin.ModelAdmin):
    list_display = ["bike", "customer", "status", "price"]
    list_filter = ["status"]
    list_select_related = ["customer"]
    inlines = [LetterInline]
    actions = ["accept_quote", "decline_quote", "collect"]

    @admin.action(description="Customer accepts the quote", permissions=["change"])
    def accept_quote(self, request: HttpRequest, queryset: QuerySet[Repair]) -> None:
        for repair in queryset.filter(status=Repair.Status.QUOTED):
            answer_quote(repair, "yes")

    @admin.action(description="Customer declines the quote", permissions=["change"])
    def decline_quote(self, request: HttpRequest, queryset: QuerySet[Repair]) -> None:
        for repair in queryset.filter(status=Repair.Status.QUOTED):
            answer_quote(repair, "no")

    @admin.action(description="Customer collects the bike", permissions=["change"])
    def collect(self, request: HttpRequest, queryset: QuerySet[Repair]) -> None:
        for repair in queryset.filter(status=Repair.Status.READY):
            hand_over(repair)
