"""What the phantoms are, and what the worker made of them."""

from dataclasses import asdict
from datetime import timedelta

from monitoring.demo.phantom_patients import PATIENTS, Part, PhantomPatient
from monitoring.demo.stories import CLINICS
from monitoring.models import Patient
from monitoring.selectors.observations import patient_scans, point_list
from volumetry.core.phantoms.head_and_neck import Truth, Visit, truth_of

DIGITS = 3
# Structure of the record and where the truth holds it.
COMPARED = {"brain_parenchyma": "parenchyma_mm3", "cord_pmj_64mm": "cord_pmj_64mm_mm2"}


def truths(plan: PhantomPatient) -> list[Truth]:
    """Return the truth of every visit of a phantom patient."""
    return [
        truth_of(Visit(brain=visit.brain, cord=visit.cord, seed=plan.first_seed + number))
        for number, visit in enumerate(plan.visits)
    ]


def truth_rows() -> list[dict[str, object]]:
    """Return the truth of all phantoms as JSON values; points are world mm (RAS)."""
    rows = []
    for plan in PATIENTS:
        for number, truth in enumerate(truths(plan)):
            planned = plan.visits[number]
            rows.append(
                {
                    "patient": plan.pseudonym,
                    "day_after_onset": planned.day,
                    "shows": Part(planned.part).value,
                    "seed": plan.first_seed + number,
                    **{name: _rounded(value) for name, value in asdict(truth).items()},
                }
            )
    return rows


def _rounded(value: float | tuple[float, ...]) -> object:
    if isinstance(value, tuple):
        return [round(number, DIGITS) for number in value]
    return round(value, DIGITS)


def comparison_rows() -> list[tuple[str, int, str, float, float]]:
    """Return patient, day, structure, truth and measured value of every measured phantom."""
    rows = []
    for plan in PATIENTS:
        patient = Patient.objects.filter(
            pseudonym=plan.pseudonym, clinic__name=CLINICS[0].name
        ).first()
        if patient is None or patient.onset_date is None:
            continue
        measured = {
            (point.when, point.structure): point.value
            for point in point_list(patient_scans(patient))
            if point.quantity in ("volume", "mean_csa")
            and (point.structure, point.quantity) != ("cord_pmj_64mm", "volume")
        }
        for planned, truth in zip(plan.visits, truths(plan), strict=True):
            day = patient.onset_date + timedelta(days=planned.day)
            for structure, name in COMPARED.items():
                if (value := measured.get((day, structure))) is not None:
                    true = float(getattr(truth, name))
                    rows.append((plan.pseudonym, planned.day, structure, true, value))
    return rows
