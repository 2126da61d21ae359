"""Where each resource of the API lives."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from monitoring.api.objects import Nowhere, PatientDivergence, PatientObject, RunObject
from monitoring.api.pulls import PULLS
from monitoring.api.timeline import PatientTimeline
from monitoring.api.uploads import UploadList

urlpatterns = [
    *(path(f"{view.name}/", view.as_view(), name=f"api_{view.name}") for view in PULLS),
    path("patients/<uuid:pk>/", PatientObject.as_view(), name="api_patient"),
    path(
        "patients/<uuid:pk>/divergence/",
        PatientDivergence.as_view(),
        name="api_patient_divergence",
    ),
    path(
        "patients/<uuid:pk>/timeline/",
        PatientTimeline.as_view(),
        name="api_patient_timeline",
    ),
    path("runs/<uuid:pk>/", RunObject.as_view(), name="api_run"),
    path("uploads/", UploadList.as_view(), name="api_upload"),
    path("schema/", SpectacularJSONAPIView.as_view(), name="api_schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api_schema"), name="api_docs"),
    re_path(r"^(?P<rest>.*)$", Nowhere.as_view(), name="api_nowhere"),
]
