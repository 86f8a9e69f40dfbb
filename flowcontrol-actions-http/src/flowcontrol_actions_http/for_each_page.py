"""http.for_each_page: steps for each page of an answer that comes in several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from flowcontrol.base import ActionContext, BaseAction, Decision, Effect, EnterBranch, Next
from flowcontrol.forms import ExpressionField
from flowcontrol.translations import catalogue

from . import conf
from .errors import InvalidResponse, TooManyPages
from .fields import NameField
from .pages import PAGING, joined, linked
from .performing import RETRY, evaluated, performed
from .request_form import RequestForm
from .sending import first_url

__all__ = ["ForEachPage"]

_ = catalogue("flowcontrol_actions_http")


class PagesForm(RequestForm):
    paging = forms.ChoiceField(
        label=_("Next page"),
        initial="link",
        required=False,
        choices=[(one, one) for one in PAGING],
        help_text=_(
            "Where it is: “link”, a header Link with rel=next; “url”, an address in the answer; “cursor”, a value in "
            "the answer that goes into the query; “number”, counted up in the query."
        ),
    )
    next = ExpressionField(
        label=_("Next"),
        required=False,
        help_text=_(
            "For “url” and “cursor”: an expression for the next one, such as “response.body.next”. Without a value "
            "there is no further page."
        ),
    )
    parameter = forms.CharField(
        label=_("Parameter"),
        required=False,
        max_length=200,
        help_text=_("For “cursor” and “number”: its name in the query. Empty: “cursor” and “page”."),
    )
    first = forms.IntegerField(
        label=_("First number"),
        required=False,
        initial=1,
        min_value=0,
        max_value=1_000_000_000,
        help_text=_("For “number”: of the first page."),
    )
    items = ExpressionField(
        label=_("Items"),
        required=False,
        help_text=_(
            "An expression for the list that a page has, such as “response.body.results”. With “number” a page whose "
            "list is empty is the end."
        ),
    )
    variable = NameField(
        label=_("Variable"),
        required=False,
        initial="page",
        max_length=100,
        help_text=_(
            "The name under which expressions of the steps inside read the page: its number, status, headers, url and "
            "body, or, where “items” says so, its items in place of the body."
        ),
    )
    max_pages = forms.IntegerField(
        label=_("Most pages"),
        required=False,
        initial=100,
        min_value=1,
        help_text=_("How many are read."),
    )
    when_more = forms.ChoiceField(
        label=_("When there are more"),
        required=False,
        initial="fail",
        choices=[("fail", _("Fail")), ("stop", _("Go on behind"))],
        help_text=_("What follows when there are more pages than that."),
    )

    def clean_paging(self) -> str:
        return self.cleaned_data["paging"] or "link"

    def clean_first(self) -> int:
        given: int | None = self.cleaned_data["first"]
        return 1 if given is None else given

    def clean_variable(self) -> str:
        return self.cleaned_data["variable"] or "page"

    def clean_when_more(self) -> str:
        return self.cleaned_data["when_more"] or "fail"

    def clean_max_pages(self) -> int:
        most: int = conf.get("MAX_PAGES")
        given: int = self.cleaned_data["max_pages"] or min(100, most)
        if given > most:
            raise ValidationError(
                _("A step may read %(most)d pages at most (FLOWCONTROL_HTTP[“MAX_PAGES”])."),
                code="max_pages",
                params={"most": most},
            )
        return given

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        paging = cleaned.get("paging")
        if paging in ("url", "cursor") and not cleaned.get("next") and "next" not in self.errors:
            self.add_error("next", ValidationError(_("Say where the answer has the next one."), code="next"))
        if paging == "number" and not cleaned.get("items") and "items" not in self.errors:
            self.add_error(
                "items",
                ValidationError(_("Say where a page has its items: an empty list ends it."), code="items"),
            )
        return cleaned


class ForEachPage(BaseAction):
    """Reads page after page with GET, and runs its steps for each.

    Every page is a visit of the step of its own: where the run stands is in the database before the next one is asked
    for, and a crash repeats no page but the one at hand. A page that fails is tried again, and the others are not.
    """

    name = "http.for_each_page"
    label = "For each page"
    effect = Effect.EXTERNAL
    branches = ("steps",)
    retry = RETRY

    Config = PagesForm

    def run(self, context: ActionContext) -> Decision:
        context.locals.update(count=0, next="", number=context.config["first"])
        return self._page(context)

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        if "count" not in context.locals:
            # Somebody restarted the run at a step inside: which page that was, nobody knows any more.
            return self.run(context)
        if not context.locals["next"]:
            return Next()
        if context.locals["count"] >= context.config["max_pages"]:
            return self._end(context)
        return self._page(context)

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("%(url)s, at most %(count)d pages") % {
            "url": config["url"].source,
            "count": config["max_pages"],
        }

    def _end(self, context: ActionContext) -> Decision:
        if context.config["when_more"] == "stop":
            return Next()
        raise TooManyPages(
            f"There are more than {context.config['max_pages']} pages, the most that the step reads."
        )

    def _page(self, context: ActionContext) -> Decision:
        config, memory = context.config, context.locals
        here = self._url(context)
        answer = performed(context, here)
        items = None if config["items"] is None else _items(context, answer)
        if config["paging"] == "number" and not items:
            return Next()
        following = self._following(context, answer)
        if config["paging"] != "number" and following == answer["url"]:
            raise InvalidResponse(f"The page {memory['count'] + 1} names itself as the next one.")
        page = {"number": memory["count"] + 1, **answer}
        if items is not None:
            page |= {"items": items}
            del page["body"]
        memory.update(count=memory["count"] + 1, next=following, number=memory["number"] + 1)
        return EnterBranch(variables={config["variable"]: page})

    def _url(self, context: ActionContext) -> str:
        """The address of the page at hand; empty for the step's own."""
        config, memory = context.config, context.locals
        if config["paging"] != "number":
            return str(memory["next"])
        own = httpx2.URL(memory["next"] or str(first_url(context)))
        return str(own.copy_set_param(config["parameter"] or "page", str(memory["number"])))

    def _following(self, context: ActionContext, answer: Mapping[str, Any]) -> str:
        """The address of the next page; empty when there is none."""
        config, here = context.config, httpx2.URL(answer["url"])
        match config["paging"]:
            case "link":
                return str(linked(answer["headers"], here) or "")
            case "number":
                return str(here)
        found = evaluated(context, config["next"], answer)
        if found in (None, "", False):
            return ""
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise InvalidResponse(
                f"“{config['next'].source}” gives a {type(found).__name__}, which leads to no page."
            )
        if config["paging"] == "url":
            return str(joined(here, str(found)))
        return str(here.copy_set_param(config["parameter"] or "cursor", str(found)))


def _items(context: ActionContext, answer: Mapping[str, Any]) -> list[Any]:
    expression = context.config["items"]
    found = evaluated(context, expression, answer)
    if not isinstance(found, list):
        raise InvalidResponse(f"“{expression.source}” gives a {type(found).__name__}, and no list.")
    return found
