"""What the worklist sorts and shows, kept beside the patient.

A clinic with 100,000 patients cannot be sorted by what is read from runs, reviews and estimates
on every page view; `services.worklist.worklist_refresh` writes these columns whenever a fact
changed. Nothing here is a fact of its own: all of it can be computed again.
"""

from django.db import models


class Attention(models.IntegerChoices):
    """Why a patient stands where on the worklist; the smallest first."""

    NEW_FLAG = 10, "Flag, not acknowledged"
    NEW_WATCH = 15, "Watch, not acknowledged"
    FLAG = 20, "Flag"
    WATCH = 30, "Watch"
    CHANGED = 35, "Level fell, not acknowledged"
    NOT_COMPUTED = 40, "Not computed"
    WAITING = 50, "Scan waits for a reader"
    FAILED = 55, "Measurement failed"
    ROUTINE = 60, "Nothing to do"
    NO_SCAN = 70, "No scan yet"
    CONTROL = 80, "Healthy control"
    CONTROL_NO_SCAN = 85, "Healthy control without a scan"


class WorklistColumns(models.Model):
    """Columns of the worklist; every patient has them from the first moment on."""

    attention = models.PositiveSmallIntegerField(
        choices=Attention.choices, default=Attention.NO_SCAN, editable=False
    )
    attention_score = models.FloatField(default=0.0, editable=False)
    level = models.CharField(max_length=12, default="insufficient", editable=False)
    last_scan_on = models.DateField(null=True, editable=False)
    scans_waiting = models.PositiveSmallIntegerField(default=0, editable=False)
    runs_failed = models.PositiveSmallIntegerField(default=0, editable=False)
    glance = models.JSONField(default=dict, editable=False)

    class Meta:
        abstract = True
