"""The record as JSON: field names carry units, ids are opaque, a person is a pseudonym."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from monitoring.models import (
    FUNCTIONAL_SYSTEMS,
    DivergenceEstimate,
    LesionCount,
    Phenotype,
    Relapse,
    Review,
    Scan,
    Sequence,
    Sex,
    Treatment,
)
from monitoring.models import Level as DivergenceLevel
from monitoring.selectors.observations import effective_epoch
from monitoring.selectors.registry import estimate_id
from volumetry.models import Outcome, Status

Json = serializers.Serializer[Any]


class FunctionalSystems(Json):
    """Scores of the functional systems; null where one was not scored."""

    def get_fields(self) -> dict[str, "serializers.Field[Any, Any, Any, Any]"]:
        """Return a field for each system, with the range of its scale."""
        return {
            name: serializers.IntegerField(allow_null=True, min_value=0, max_value=highest)
            for name, highest in FUNCTIONAL_SYSTEMS.items()
        }


class Record(Json):
    """What every record says."""

    id = serializers.UUIDField()
    updated_at = serializers.DateTimeField()


class Tombstone(Json):
    """A record that was superseded or withdrawn: delete it from your copy."""

    id = serializers.UUIDField()
    deleted_at = serializers.DateTimeField()


class OfPatient(Record):
    """A record of one patient."""

    patient = serializers.UUIDField(source="patient_id")
    is_synthetic = serializers.BooleanField(source="patient.is_synthetic")


class OfVisit(Record):
    """A record of one visit."""

    patient = serializers.UUIDField(source="visit.patient_id")
    visit = serializers.UUIDField(source="visit_id")
    date = serializers.DateField(source="visit.date")
    is_synthetic = serializers.BooleanField(source="visit.patient.is_synthetic")


class PatientRecord(Record):
    """A person followed by the clinic; birth year only."""

    pseudonym = serializers.CharField()
    sex = serializers.ChoiceField(choices=Sex.choices)
    birth_year = serializers.IntegerField(allow_null=True)
    onset_date = serializers.DateField(allow_null=True)
    is_synthetic = serializers.BooleanField()


class VisitRecord(OfPatient):
    """A day on which the patient was seen or scanned."""

    date = serializers.DateField()


class AssessmentRecord(OfVisit):
    """EDSS of a visit, with the functional systems that were scored."""

    edss = serializers.FloatField(help_text="0, or 1.0 to 10.0 in halves")
    functional_systems = FunctionalSystems(source="*")


class RelapseRecord(OfPatient):
    """An attack, counted from its first day."""

    onset = serializers.DateField()
    severity = serializers.ChoiceField(choices=Relapse.Severity.choices)
    is_spinal = serializers.BooleanField()
    steroids_on = serializers.DateField(allow_null=True)


class TreatmentRecord(OfPatient):
    """A period on one disease-modifying drug."""

    drug = serializers.CharField()
    efficacy = serializers.ChoiceField(choices=Treatment.Efficacy.choices)
    starts_on = serializers.DateField()
    ends_on = serializers.DateField(allow_null=True)
    stop_reason = serializers.CharField(allow_blank=True)
    paused_on = serializers.DateField(allow_null=True, help_text="First day of an interruption")
    resumed_on = serializers.DateField(allow_null=True, help_text="Day on which it went on")


class PhenotypeRecord(OfPatient):
    """The course of disease from a date on."""

    phenotype = serializers.ChoiceField(choices=Phenotype.choices)
    starts_on = serializers.DateField()


class LesionRecord(OfVisit):
    """Lesions of a visit in brain or cord, as the reader stated them."""

    region = serializers.ChoiceField(choices=LesionCount.Region.choices)
    pattern = serializers.ChoiceField(choices=LesionCount.Pattern.choices)
    kind = serializers.ChoiceField(choices=LesionCount.Kind.choices)
    count = serializers.IntegerField(allow_null=True, help_text="Focal lesions")
    is_present = serializers.BooleanField(allow_null=True, help_text="Diffuse change")


class ScannerRecord(Json):
    """An MR scanner; never its serial number."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    manufacturer = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    field_strength_tesla = serializers.FloatField(source="field_strength_t", allow_null=True)


class EpochRecord(Json):
    """A period of comparable scans; an epoch that was merged is given as the one it joined."""

    id = serializers.UUIDField()
    software = serializers.CharField(allow_blank=True)
    protocol = serializers.CharField()


class ScanRecord(Record):
    """One series of a patient, and how it was acquired."""

    patient = serializers.UUIDField(source="session.visit.patient_id")
    visit = serializers.UUIDField(source="session.visit_id")
    date = serializers.DateField(source="session.visit.date")
    sequence = serializers.ChoiceField(choices=Sequence.choices)
    scanner = ScannerRecord(source="epoch.scanner")
    epoch = serializers.SerializerMethodField()
    shape_voxels = serializers.ListField(child=serializers.IntegerField(), source="image.shape")
    spacing_mm = serializers.ListField(
        child=serializers.FloatField(), source="image.spacing_mm"
    )
    notes = serializers.ListField(child=serializers.CharField())
    measures_brain = serializers.BooleanField()
    measures_cord = serializers.BooleanField()
    is_synthetic = serializers.BooleanField(source="session.visit.patient.is_synthetic")

    @extend_schema_field(EpochRecord)
    def get_epoch(self, scan: Scan) -> dict[str, Any]:
        """Return the epoch that counts."""
        return dict(EpochRecord(effective_epoch(scan.epoch)).data)


class MeasurementRecord(Record):
    """One number with its error, method, version, quality word and the reader's verdict."""

    patient = serializers.UUIDField()
    visit = serializers.UUIDField()
    scan = serializers.UUIDField()
    run = serializers.UUIDField()
    date = serializers.DateField(source="when")
    region = serializers.ChoiceField(choices=LesionCount.Region.choices)
    structure = serializers.CharField(allow_null=True)
    quantity = serializers.CharField(allow_null=True)
    value = serializers.FloatField(
        allow_null=True, help_text="null: not assessable, never zero"
    )
    unit = serializers.CharField(allow_null=True, help_text="UCUM: mm3, mm2, %")
    standard_error = serializers.FloatField(allow_null=True, help_text="In the same unit")
    interval_95_low = serializers.FloatField(allow_null=True)
    interval_95_high = serializers.FloatField(allow_null=True)
    not_assessable_reason = serializers.CharField(allow_null=True)
    quality = serializers.ChoiceField(
        choices=["good", "fair", "poor", "rejected"],
        allow_null=True,
        help_text="null: a failed check keeps it out until a reader accepts it",
    )
    is_rejected = serializers.BooleanField()
    waits_for_reader = serializers.BooleanField()
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True)
    verdict_reason = serializers.CharField(allow_null=True)
    read_on = serializers.DateField(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField())
    method = serializers.CharField()
    method_version = serializers.CharField()
    series = serializers.CharField(help_text="Only points of one series may be compared")
    compared_with_scan = serializers.UUIDField(
        allow_null=True, help_text="Of a change in percent: the earlier scan; else null"
    )
    is_synthetic = serializers.BooleanField()


class DivergenceRecord(Json):
    """A stored divergence statement; the newest by `created_at` counts."""

    id = serializers.SerializerMethodField()
    patient = serializers.UUIDField(source="patient_id")
    created_at = serializers.DateTimeField()
    as_of = serializers.DateField(allow_null=True, help_text="Day of the last usable scan")
    level = serializers.ChoiceField(choices=DivergenceLevel.choices)
    d_percent_per_year = serializers.FloatField(
        allow_null=True,
        help_text="Cord minus what the brain predicts; negative: the cord shrinks faster",
    )
    d_low = serializers.FloatField(allow_null=True, help_text="2.5 % quantile")
    d_high = serializers.FloatField(allow_null=True, help_text="97.5 % quantile")
    p_faster_than_1 = serializers.FloatField(allow_null=True)
    p_change = serializers.FloatField(allow_null=True)
    brain_percent_per_year = serializers.FloatField(allow_null=True)
    cord_percent_per_year = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    policy_version = serializers.CharField()
    parameters_id = serializers.CharField()
    input_digest = serializers.CharField()
    is_synthetic = serializers.BooleanField(source="patient.is_synthetic")

    @extend_schema_field(serializers.UUIDField())
    def get_id(self, estimate: DivergenceEstimate) -> str:
        """Return the opaque id."""
        return str(estimate_id(estimate))


class FlagRecord(Record):
    """A change of level."""

    old_level = serializers.ChoiceField(choices=DivergenceLevel.choices)
    new_level = serializers.ChoiceField(choices=DivergenceLevel.choices)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    is_dismissed = serializers.BooleanField()


class DivergenceHistory(Json):
    """The statement that counts, all that were ever stored, and the changes of level."""

    latest = DivergenceRecord(allow_null=True)
    history = DivergenceRecord(many=True)
    flags = FlagRecord(many=True)
    not_computed_because = serializers.CharField(allow_null=True)


class RunRecord(Json):
    """The state of one measurement run."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    scan = serializers.UUIDField()
    patient = serializers.UUIDField()
    method = serializers.CharField()
    method_version = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_null=True)
    reason = serializers.CharField(allow_null=True)
    step = serializers.CharField(allow_null=True, help_text="What it is doing now")
    attempt = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    given_masks = serializers.DictField(
        child=serializers.CharField(),
        help_text="SHA-256 of masks that a person gave, by role: `correction` of the outline, "
        "`mask` made elsewhere (joins no series), `lesions`",
    )
    lesion_volume_mm3 = serializers.FloatField(
        allow_null=True, help_text="Of the given lesion mask; null without one"
    )
    lesion_count = serializers.IntegerField(
        allow_null=True, help_text="Connected lesions of the given mask; null without one"
    )
    is_synthetic = serializers.BooleanField()


def enveloped(record: type[Json], *, name: str) -> type[Json]:
    """Return the page of a pull as the schema describes it."""
    fields: dict[str, Any] = {
        "__doc__": "One page of a pull.",
        "intended_use": serializers.CharField(default=settings.INTENDED_USE),
        "is_synthetic": serializers.BooleanField(help_text="The clinic is a demonstration"),
        "next": serializers.URLField(allow_null=True),
        "next_updated_since": serializers.DateTimeField(
            help_text="`updated_since` of your next pull; overlaps a little on purpose"
        ),
        "results": record(many=True),
        "deleted": Tombstone(many=True),
    }
    return type(f"{name}Page", (serializers.Serializer,), fields)
