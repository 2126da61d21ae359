"""Where each page lives; every view module lists its own."""

from django.urls import include, path
from django.views.generic import RedirectView

from monitoring.api import urls as api
from monitoring.views import (
    administration,
    clinical,
    cohort,
    completeness,
    deliveries,
    ledger,
    masks,
    methods,
    parameters,
    patients,
    reports,
    resumable,
    reviews,
    runs,
    site,
    uploads,
    viewer,
    worklist,
)

urlpatterns = [
    # Nobody is sent mail: an administrator gives out a new password.
    path("accounts/password/reset/", RedirectView.as_view(pattern_name="account_login")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include(api.urlpatterns)),
    *site.urlpatterns,
    *worklist.urlpatterns,
    *patients.urlpatterns,
    *reports.urlpatterns,
    *clinical.urlpatterns,
    *uploads.urlpatterns,
    *deliveries.urlpatterns,
    *resumable.urlpatterns,
    *runs.urlpatterns,
    *viewer.urlpatterns,
    *reviews.urlpatterns,
    *masks.urlpatterns,
    *ledger.urlpatterns,
    *cohort.urlpatterns,
    *parameters.urlpatterns,
    *completeness.urlpatterns,
    *methods.urlpatterns,
    *administration.urlpatterns,
]
