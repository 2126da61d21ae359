"""The record's models, gathered where Django looks for them."""

from monitoring.models.audit import AuditEntry
from monitoring.models.cohorts import CohortAnalysis, CohortDefinition
from monitoring.models.deliveries import DeliveredVisit, Delivery
from monitoring.models.findings import DivergenceEstimate, Flag, Level, Review
from monitoring.models.methods import MethodChoice, Slot
from monitoring.models.parameters import (
    ParameterAdoption,
    ParameterProposal,
    ParameterSet,
)
from monitoring.models.patients import (
    EDSS_STEPS,
    FUNCTIONAL_SYSTEMS,
    Assessment,
    LesionCount,
    Patient,
    Phenotype,
    PhenotypePeriod,
    Relapse,
    Sex,
    Treatment,
    Visit,
)
from monitoring.models.people import (
    ROLE_GRANTS,
    ApiToken,
    Clinic,
    FirstPassword,
    Grant,
    Membership,
    Role,
    roles_with,
)
from monitoring.models.requests import AnsweredRequest
from monitoring.models.scans import (
    ImagingSession,
    Scan,
    Scanner,
    ScannerEpoch,
    Sequence,
    UploadDraft,
)
from monitoring.models.worklist import Attention

__all__ = [
    "EDSS_STEPS",
    "FUNCTIONAL_SYSTEMS",
    "ROLE_GRANTS",
    "AnsweredRequest",
    "ApiToken",
    "Assessment",
    "Attention",
    "AuditEntry",
    "Clinic",
    "CohortAnalysis",
    "CohortDefinition",
    "DeliveredVisit",
    "Delivery",
    "DivergenceEstimate",
    "FirstPassword",
    "Flag",
    "Grant",
    "ImagingSession",
    "LesionCount",
    "Level",
    "Membership",
    "MethodChoice",
    "ParameterAdoption",
    "ParameterProposal",
    "ParameterSet",
    "Patient",
    "Phenotype",
    "PhenotypePeriod",
    "Relapse",
    "Review",
    "Role",
    "Scan",
    "Scanner",
    "ScannerEpoch",
    "Sequence",
    "Sex",
    "Slot",
    "Treatment",
    "UploadDraft",
    "Visit",
    "roles_with",
]
