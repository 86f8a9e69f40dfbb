"""URLs of a project, made anew: while this is imported, flowcontrol's are those of the plugins that are loaded."""

from django.urls import include, path
from flowcontrol.urls import patterns

urlpatterns = [path("flowcontrol/", include((patterns(), "flowcontrol")))]
