"""Who did or saw what."""

from django.conf import settings
from django.db import models

from monitoring.models.people import ApiToken, Clinic
from volumetry.models import AppendOnlyModel


class AuditEntry(AppendOnlyModel):
    """One act on the data of a clinic: a read, a change, a refusal. Never deleted.

    It holds no clinical value: only who, in which role, what was done to which object, when.
    """

    class Action(models.TextChoices):
        """What was done."""

        READ = "read", "Read"
        CREATE = "create", "Added"
        CHANGE = "change", "Changed"
        REVIEW = "review", "Reviewed"
        UPLOAD = "upload", "Uploaded"
        EXPORT = "export", "Exported"
        ADMINISTER = "administer", "Administered"

    at = models.DateTimeField(auto_now_add=True)
    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="audit_entries")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, related_name="+", null=True)
    action = models.CharField(max_length=10, choices=Action.choices)
    subject = models.CharField(max_length=40, help_text="Kind of object")
    object_id = models.CharField(max_length=40, blank=True)
    pseudonym = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["clinic", "-at"], name="audit_by_clinic"),
            models.Index(fields=["clinic", "pseudonym", "-at"], name="audit_by_patient"),
        ]

    def __str__(self) -> str:
        """Return action and object."""
        return f"{self.action} {self.subject} {self.object_id}"
