"""Doorway: one patient's whole course, the same selector as the patient's page."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api import records
from monitoring.api.answers import answer, described, documented, token_of
from monitoring.core.outcomes import OutcomeKind
from monitoring.core.pairing import Against
from monitoring.models import FUNCTIONAL_SYSTEMS, Grant, LesionCount
from monitoring.models import Level as DivergenceLevel
from monitoring.selectors.changes import Change
from monitoring.selectors.observations import Point
from monitoring.selectors.registry import interval_95
from monitoring.selectors.timeline_points import EdssStep, TimelinePoint
from monitoring.selectors.timelines import Timeline, timeline_of
from monitoring.services.access import patient_open
from volumetry.models import Outcome, Status

# Names of the statement's fields that the answer repeats as they were stored.
STATEMENT = (
    "as_of",
    "level",
    "is_held",
    "headline",
    "sentence",
    "reason",
    "n_brain",
    "n_cord",
    "span_years",
    "first_raised",
    "d_percent_per_year",
    "d_low",
    "d_high",
    "p_faster_than_1",
    "p_change",
    "brain_percent_per_year",
    "brain_low",
    "brain_high",
    "cord_percent_per_year",
    "cord_low",
    "cord_high",
    "gap_percent",
    "gap_low",
    "gap_high",
)


class MeasuredPoint(records.Json):
    """One number of a scan."""

    scan = serializers.UUIDField(source="scan_id")
    run = serializers.UUIDField(source="run_id")
    date = serializers.DateField(source="when")
    region = serializers.ChoiceField(choices=LesionCount.Region.choices, source="region.value")
    structure = serializers.CharField()
    quantity = serializers.CharField()
    value = serializers.FloatField()
    unit = serializers.CharField(help_text="UCUM: mm3, mm2, %")
    standard_error = serializers.FloatField(allow_null=True)
    interval_95 = serializers.SerializerMethodField()
    quality = serializers.SerializerMethodField()
    is_rejected = serializers.BooleanField()
    waits_for_reader = serializers.BooleanField()
    verdict = serializers.CharField(allow_blank=True)
    verdict_reason = serializers.CharField(allow_blank=True)
    read_on = serializers.DateField(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField())
    method = serializers.CharField()
    method_version = serializers.CharField(source="version")
    scanner = serializers.CharField()
    epoch = serializers.CharField(source="epoch_label")
    series = serializers.CharField(help_text="Only points of one series may be compared")

    @extend_schema_field(
        serializers.ListField(
            child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True
        )
    )
    def get_interval_95(self, point: Point | TimelinePoint) -> list[float] | None:
        """Return low and high, in the unit of the value."""
        interval = interval_95(point.value, point.standard_error)
        return list(interval) if interval else None

    @extend_schema_field(
        serializers.ChoiceField(choices=["good", "fair", "poor", "rejected"], allow_null=True)
    )
    def get_quality(self, point: Point | TimelinePoint) -> str | None:
        """Return the quality word, null while a failed check waits for a reader."""
        return point.quality.value if point.quality else None


class TrendPoint(MeasuredPoint):
    """A number of the trend, also in percent of the patient's own first usable value."""

    percent_of_baseline = serializers.FloatField(source="percent", allow_null=True)
    percent_low = serializers.FloatField(allow_null=True)
    percent_high = serializers.FloatField(allow_null=True)
    percent_corrected = serializers.FloatField(
        allow_null=True, help_text="With the estimated offset of its epoch removed"
    )
    normalised_percent = serializers.FloatField(
        allow_null=True, help_text="Brain: of the patient's one baseline intracranial volume"
    )
    weight = serializers.FloatField(allow_null=True, help_text="How much the model counted it")
    is_usable = serializers.BooleanField()
    is_outlier = serializers.BooleanField()
    days_after_relapse = serializers.IntegerField(allow_null=True)


class Intracranial(records.Json):
    """The one intracranial volume by which all brain volumes of the patient are divided."""

    scan = serializers.UUIDField(source="scan_id")
    run = serializers.UUIDField(source="run_id")
    date = serializers.DateField(source="when")
    value = serializers.FloatField(source="value_mm3", help_text="mm3")
    standard_error = serializers.FloatField(source="standard_error_mm3", allow_null=True)
    method = serializers.CharField()
    method_version = serializers.CharField(source="version")
    is_confirmed = serializers.BooleanField(help_text="A reader accepted the scan")


class MeasuredChange(records.Json):
    """The change between two scans, measured on both together; negative is loss."""

    scan = serializers.UUIDField(source="scan_id")
    compared_with_scan = serializers.UUIDField(source="before_scan_id")
    run = serializers.UUIDField(source="run_id", allow_null=True)
    date = serializers.DateField(source="when")
    since = serializers.DateField()
    region = serializers.ChoiceField(choices=LesionCount.Region.choices, source="region.value")
    against = serializers.ListField(
        child=serializers.ChoiceField(choices=[one.value for one in Against]),
        help_text="baseline, previous, or both",
    )
    is_first_baseline = serializers.BooleanField(
        source="is_first",
        help_text="false: the baseline is the first scan of this scanner, not of the patient",
    )
    structure = serializers.CharField(allow_blank=True)
    percent = serializers.FloatField(
        allow_null=True, help_text="null: not measured, see not_assessable_reason"
    )
    standard_error = serializers.FloatField(allow_null=True)
    interval_95 = serializers.SerializerMethodField()
    percent_per_year = serializers.FloatField(allow_null=True)
    difference_percent = serializers.FloatField(
        allow_null=True, help_text="Of the two scans, each measured alone: a cross-check"
    )
    not_assessable_reason = serializers.CharField(source="sentence", allow_blank=True)
    doubt = serializers.CharField(allow_blank=True)
    quality = serializers.SerializerMethodField()
    is_rejected = serializers.BooleanField()
    waits_for_reader = serializers.BooleanField()
    warnings = serializers.ListField(child=serializers.CharField())
    method = serializers.CharField(allow_blank=True)
    method_version = serializers.CharField(source="version", allow_blank=True)

    @extend_schema_field(
        serializers.ListField(
            child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True
        )
    )
    def get_interval_95(self, change: Change) -> list[float] | None:
        """Return low and high, percent."""
        return list(change.interval) if change.interval else None

    @extend_schema_field(
        serializers.ChoiceField(choices=["good", "fair", "poor", "rejected"], allow_null=True)
    )
    def get_quality(self, change: Change) -> str | None:
        """Return the quality word, null while a failed check waits for a reader."""
        return change.quality.value if change.quality else None


class TimelineEdss(records.Json):
    """One EDSS."""

    date = serializers.DateField(source="when")
    edss = serializers.FloatField()
    functional_systems = serializers.SerializerMethodField()
    days_after_relapse = serializers.IntegerField(allow_null=True)

    @extend_schema_field(records.FunctionalSystems)
    def get_functional_systems(self, step: EdssStep) -> dict[str, int | None]:
        """Return the scores, null where a system was not scored."""
        return {name: step.systems.get(name) for name in FUNCTIONAL_SYSTEMS}


class TimelineRun(records.Json):
    """How far one measurement of a scan came."""

    id = serializers.UUIDField(source="pk")
    method = serializers.CharField()
    method_version = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_blank=True)
    not_assessable_reason = serializers.CharField(source="reason", allow_blank=True)


class TimelineScan(records.Json):
    """One scan of the ledger."""

    id = serializers.UUIDField(source="scan_id")
    date = serializers.DateField(source="when")
    sequence = serializers.CharField()
    epoch = serializers.CharField(source="epoch_label")
    notes = serializers.ListField(child=serializers.CharField())
    runs = TimelineRun(many=True)


class TimelineScannerChange(records.Json):
    """The day from which usable scans belong to another epoch."""

    date = serializers.DateField(source="when")
    before = serializers.CharField()
    after = serializers.CharField()


class TimelineCaveat(records.Json):
    """Words that belong beside the numbers; ids are stable."""

    id = serializers.CharField()
    text = serializers.CharField()


class Statement(records.Json):
    """The divergence as it was stated on one day; a number that may not be shown is null."""

    level = serializers.ChoiceField(choices=DivergenceLevel.choices)
    headline = serializers.CharField()
    sentence = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    as_of = serializers.DateField(allow_null=True)
    first_raised = serializers.DateField(allow_null=True)
    is_held = serializers.BooleanField()
    n_brain = serializers.IntegerField()
    n_cord = serializers.IntegerField()
    span_years = serializers.FloatField()

    def get_fields(self) -> "dict[str, serializers.Field[Any, Any, Any, Any]]":
        """Add the numbers: percent per year, probabilities, percent."""
        fields = super().get_fields()
        for name in STATEMENT:
            if name not in fields:
                fields[name] = serializers.FloatField(allow_null=True)
        return fields


class TimelineOutcome(records.Json):
    """One clinical outcome by rule; it could be known from its confirmation on."""

    kind = serializers.CharField(
        source="kind.value", help_text=", ".join(kind.value for kind in OutcomeKind)
    )
    rule = serializers.CharField(help_text="Id of the definition")
    event = serializers.DateField()
    confirmed = serializers.DateField()
    from_edss = serializers.FloatField(allow_null=True)
    to_edss = serializers.FloatField(allow_null=True)


class TimelineActivity(records.Json):
    """NEDA over the year that ends with the last visit; unknown where a part is missing."""

    start = serializers.DateField()
    end = serializers.DateField()
    neda3 = serializers.CharField(source="neda3.value", help_text="yes, no or unknown")
    neda4 = serializers.CharField(source="neda4.value", help_text="yes, no or unknown")
    missing = serializers.ListField(child=serializers.CharField())


class TimelineRecord(records.Json):
    """Everything that the patient's page draws."""

    patient = records.PatientRecord()
    points = TrendPoint(many=True)
    other_points = MeasuredPoint(many=True)
    changes = MeasuredChange(many=True)
    baseline_intracranial = Intracranial(source="intracranial", allow_null=True)
    scans = TimelineScan(many=True)
    edss = TimelineEdss(many=True)
    relapses = records.RelapseRecord(many=True)
    treatments = records.TreatmentRecord(many=True)
    phenotypes = records.PhenotypeRecord(many=True)
    scanner_changes = TimelineScannerChange(many=True)
    outcomes = TimelineOutcome(source="outcomes.events", many=True)
    activity = TimelineActivity(source="outcomes.activity", allow_null=True)
    cord_trend_reason = serializers.CharField(source="cord_reason", allow_blank=True)
    divergence = serializers.SerializerMethodField()
    divergence_history = serializers.SerializerMethodField()
    divergence_is_out_of_date = serializers.BooleanField(source="is_out_of_date")
    notes = serializers.ListField(child=serializers.CharField())
    flags = records.FlagRecord(many=True)
    caveats = TimelineCaveat(many=True)
    smallest_detectable_change_percent = serializers.SerializerMethodField()

    @extend_schema_field(Statement(allow_null=True))
    def get_divergence(self, timeline: Timeline) -> dict[str, Any] | None:
        """Return the statement that counts, null before the first one."""
        return _statement(timeline.now) if timeline.now else None

    @extend_schema_field(Statement(many=True))
    def get_divergence_history(self, timeline: Timeline) -> list[dict[str, Any]]:
        """Return what would have been stated at each earlier scan, oldest first."""
        return [_statement(past) for past in timeline.history]

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_smallest_detectable_change_percent(self, timeline: Timeline) -> dict[str, float]:
        """Return per region the change between two scans that is not measurement error."""
        return {region.value: value for region, value in timeline.sdc_percent.items()}


def _statement(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a stored statement that a caller may rely on."""
    return {name: stored.get(name) for name in STATEMENT}


class PatientTimeline(APIView):
    """One patient's whole course."""

    required_grant = Grant.REGISTRY_READ
    throttle_scope = "pull"

    @extend_schema(
        operation_id="patient_timeline",
        tags=["patient"],
        responses=documented(
            {200: described(TimelineRecord, name="timeline")}, problems=(404,)
        ),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Return what the patient's page shows, read by the same selector."""
        patient = patient_open(
            token_of(request), pk, grant=self.required_grant, subject="timeline"
        )
        timeline = timeline_of(patient, today=timezone.localdate())
        return answer(
            {"timeline": TimelineRecord(timeline).data}, is_synthetic=patient.is_synthetic
        )
