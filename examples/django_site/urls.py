"""Paths of the site."""

from django.urls import path

from . import views

urlpatterns = [
    path("chargers", views.find_chargers),
    path("charges", views.start_charge),
    path("charges/<uuid:session_id>", views.show_charge),
    path("charges/<uuid:session_id>/stop", views.stop_charge),
]
