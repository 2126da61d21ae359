"""Who may open what: one row per URL name, written by hand, independent of the code.

Letters are roles: N neurologist, T technician, R radiologist, D data manager,
S researcher (studies), A administrator.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from monitoring.models import Role
from tests.project.world import World

LETTERS = {
    "N": Role.NEUROLOGIST,
    "T": Role.TECHNICIAN,
    "R": Role.RADIOLOGIST,
    "D": Role.DATA_MANAGER,
    "S": Role.RESEARCHER,
    "A": Role.ADMINISTRATOR,
}
EVERYBODY = "NTRDSA"


class Kind(Enum):
    """How an address belongs to somebody."""

    PUBLIC = "open to everybody"
    PERSON = "open to who is signed in"
    CLINIC = "a list of the own clinic"
    OBJECT = "one object of a clinic"
    API_LIST = "a list of the token's clinic"
    API_OBJECT = "one object of the token's clinic"


@dataclass(frozen=True)
class Row:
    """What an address expects of its callers."""

    kind: Kind
    who: str = EVERYBODY
    method: str = "get"
    args: Callable[[World], dict[str, Any]] = field(default=lambda _world: {})
    data: Callable[[World], dict[str, Any]] = field(default=lambda _world: {})
    passes: tuple[int, ...] = (200,)
    # Why opening it writes nothing to the audit trail; empty: it must.
    unaudited: str = ""

    @property
    def roles(self) -> set[str]:
        """Return the roles that may enter."""
        return {LETTERS[letter].value for letter in self.who}


def of(thing: str, **more: Any) -> Callable[[World], dict[str, Any]]:
    """Return the arguments of an address that names an object of the world."""
    return lambda world: {"pk": getattr(world, thing).pk, **more}


def fact(world: World) -> dict[str, Any]:
    """Return the arguments of a relapse's pages."""
    return {"pk": world.patient.pk, "kind": "relapse", "fact_pk": world.relapse.pk}


POSTED = (200, 302, 400, 422)
STATE = "a state that is asked for every two seconds; the page that asks was written down"
OWN = "names no patient"
ARRIVING = "files of nobody yet; the delivery was written down when it began"

PAGES: dict[str, Row] = {
    "healthz": Row(Kind.PUBLIC, unaudited=OWN),
    "favicon": Row(Kind.PUBLIC, passes=(301,), unaudited=OWN),
    "about": Row(Kind.PUBLIC, unaudited=OWN),
    "home": Row(Kind.PERSON, passes=(200, 302), unaudited=OWN),
    "edss_computed": Row(Kind.PERSON, unaudited=OWN),
    "audit_list": Row(Kind.PERSON),
    "clinic_switch": Row(
        Kind.OBJECT, EVERYBODY, "post", of("clinic"), passes=(302,), unaudited=OWN
    ),
    # Worklist and patients
    "worklist": Row(Kind.CLINIC, "NTR"),
    "patient_list": Row(Kind.CLINIC, "NRS"),
    "patient_point": Row(
        Kind.OBJECT,
        "NRS",
        args=lambda world: {"pk": world.patient.pk, "run_pk": world.run.pk},
    ),
    "patient_add": Row(Kind.CLINIC, "NT", unaudited="an empty form"),
    "patient_detail": Row(Kind.OBJECT, "NRS", args=of("patient")),
    "patient_edit": Row(Kind.OBJECT, "NT", args=of("patient")),
    "patient_below": Row(Kind.OBJECT, "NRS", args=of("patient")),
    "patient_planner": Row(Kind.OBJECT, "NRS", args=of("patient")),
    # The patient of this world has neither a value to leave out nor another structure.
    "patient_figure": Row(Kind.OBJECT, "NRS", args=of("patient"), passes=(404,)),
    "patient_structure": Row(
        Kind.OBJECT, "NRS", args=of("patient", slug="csf-volume"), passes=(404,)
    ),
    "patient_next": Row(Kind.OBJECT, "NRS", args=of("patient"), passes=(302,)),
    "patient_previous": Row(Kind.OBJECT, "NRS", args=of("patient"), passes=(302,)),
    "patient_table_rows": Row(Kind.OBJECT, "NRS", args=of("patient", slug="edss")),
    "patient_table": Row(Kind.OBJECT, "NRS", args=of("patient", slug="edss")),
    "report": Row(Kind.OBJECT, "NR", args=of("patient")),
    # The patient of this world has no value that a report could hold.
    "report_pdf": Row(Kind.OBJECT, "NR", args=of("patient"), passes=(200, 409, 503)),
    "divergence_retry": Row(Kind.OBJECT, "N", "post", of("patient"), passes=(302,)),
    "flag_acknowledge": Row(
        Kind.OBJECT,
        "N",
        "post",
        lambda world: {"pk": world.patient.pk, "flag_pk": world.flag.pk},
        lambda _world: {"reason": "Seen."},
        passes=(302,),
    ),
    # Clinical entry
    "fact_list": Row(Kind.OBJECT, "NRS", args=of("patient")),
    "fact_add": Row(Kind.OBJECT, "N", args=of("patient", kind="relapse")),
    "fact_correct": Row(Kind.OBJECT, "N", args=fact),
    "fact_withdraw": Row(Kind.OBJECT, "N", "post", fact, passes=(302,)),
    # Upload
    "upload_start": Row(Kind.CLINIC, "NT"),
    "upload": Row(Kind.OBJECT, "NT", args=of("patient")),
    "upload_draft": Row(Kind.OBJECT, "NT", args=of("draft")),
    "upload_runs": Row(Kind.OBJECT, "NT", args=of("draft"), unaudited=STATE),
    "upload_discard": Row(
        Kind.OBJECT, "NT", "post", of("draft"), passes=(302,), unaudited="stored nothing yet"
    ),
    "day": Row(Kind.CLINIC, "NT", unaudited="an empty form"),
    "patient_options": Row(Kind.CLINIC, "NT"),
    "delivery_begin": Row(Kind.CLINIC, "NT", "post", passes=(201,)),
    "delivery": Row(Kind.OBJECT, "NT", args=of("delivery")),
    "delivery_sort": Row(
        Kind.OBJECT, "NT", "post", of("delivery"), passes=(302,), unaudited=ARRIVING
    ),
    "delivery_recognise": Row(
        Kind.OBJECT, "NT", "post", of("delivery"), passes=(302,), unaudited=ARRIVING
    ),
    "delivery_discard": Row(
        Kind.OBJECT, "NT", "post", of("delivery"), passes=(302,), unaudited=ARRIVING
    ),
    "delivery_files": Row(Kind.OBJECT, "NT", args=of("delivery"), unaudited=ARRIVING),
    # Without the protocol's version nobody is told how far a file is.
    "delivery_file": Row(
        Kind.OBJECT,
        "NT",
        "head",
        lambda world: {"pk": world.delivery.pk, "part_pk": world.patient.pk},
        passes=(412,),
        unaudited=ARRIVING,
    ),
    # Runs
    "run_list": Row(Kind.CLINIC, "NTRDA"),
    "run_detail": Row(Kind.OBJECT, "NTRDA", args=of("run")),
    "run_state": Row(Kind.OBJECT, "NTRDA", args=of("run"), unaudited=STATE),
    "run_cancel": Row(Kind.OBJECT, "T", "post", of("waiting"), passes=(302,)),
    "run_retry": Row(Kind.OBJECT, "T", "post", of("failed"), passes=(302,)),
    "run_file": Row(Kind.OBJECT, "NTRD", args=of("run", name="overlay.png")),
    "scan_detail": Row(Kind.OBJECT, "NTRDA", args=of("scan")),
    "scan_measure": Row(Kind.OBJECT, "T", "post", of("scan"), passes=(302,)),
    # Reviews and ledger
    "review_queue": Row(Kind.CLINIC, "NTRD"),
    "review_sheet": Row(Kind.CLINIC, "NTRD"),
    "scan_viewer": Row(Kind.OBJECT, "NTRD", args=of("scan")),
    "scan_image": Row(Kind.OBJECT, "NTRD", args=of("scan")),
    "review": Row(Kind.OBJECT, "NTRD", args=of("run")),
    "review_verdict": Row(
        Kind.OBJECT,
        "R",
        "post",
        of("run"),
        lambda _world: {"verdict": "accepted"},
        passes=POSTED,
    ),
    "review_landmark": Row(Kind.OBJECT, "R", "post", of("run"), passes=POSTED),
    "review_mask": Row(Kind.OBJECT, "R", "post", of("run"), passes=(302,)),
    "review_mask_withdraw": Row(Kind.OBJECT, "R", "post", of("run"), passes=(302,)),
    "scan_lesions": Row(Kind.OBJECT, "NTR", "post", of("scan"), passes=(302,)),
    "scan_mask": Row(
        Kind.OBJECT,
        "NTRD",
        args=lambda world: {"pk": world.scan.pk, "mask_pk": world.mask.pk},
    ),
    "ledger": Row(Kind.CLINIC, "NTRD"),
    "ledger_export": Row(Kind.CLINIC, "NTRD"),
    "ledger_epochs": Row(Kind.CLINIC, "NTRDA"),
    "ledger_epoch_merge": Row(
        Kind.OBJECT, "RDA", "post", lambda world: {"pk": world.scan.epoch.pk}, passes=POSTED
    ),
    "ledger_epoch_split": Row(
        Kind.OBJECT,
        "RDA",
        "post",
        lambda world: {"pk": world.scan.epoch.pk},
        passes=POSTED,
        unaudited="without a day nothing is done",
    ),
    # Cohort
    "cohort": Row(Kind.CLINIC, "NRDS"),
    "cohort_save": Row(
        Kind.CLINIC, "S", "post", data=lambda _world: {"name": "All"}, passes=(302,)
    ),
    "cohort_saved": Row(Kind.OBJECT, "NRDS", args=of("cohort")),
    "cohort_definition": Row(Kind.OBJECT, "NRDS", args=of("cohort")),
    "cohort_state": Row(Kind.OBJECT, "NRDS", args=of("analysis"), unaudited=STATE),
    "cohort_retry": Row(
        Kind.OBJECT, "NRDS", "post", of("analysis"), passes=(302,), unaudited="shows nothing"
    ),
    "cohort_analysis": Row(Kind.OBJECT, "NRDS", args=of("analysis")),
    "cohort_table": Row(Kind.OBJECT, "NRDS", args=of("analysis", slug="patients")),
    # Parameters of the divergence model
    "parameters": Row(Kind.CLINIC, "NRDSA", unaudited=OWN),
    "parameters_progress": Row(Kind.CLINIC, "NRDSA", unaudited=STATE),
    "parameters_propose": Row(
        Kind.CLINIC, "D", "post", lambda _world: {"kind": "refit"}, passes=(302,)
    ),
    "parameters_withdraw": Row(
        Kind.CLINIC, "D", "post", data=lambda _world: {"reason": "Why."}, passes=(302,)
    ),
    "parameter_proposal": Row(Kind.OBJECT, "NRDSA", args=of("proposal")),
    "parameter_proposal_state": Row(Kind.OBJECT, "NRDSA", args=of("proposal"), unaudited=STATE),
    "parameter_set_document": Row(Kind.OBJECT, "NRDSA", args=of("proposal"), unaudited=OWN),
    "parameters_adopt": Row(
        Kind.OBJECT,
        "D",
        "post",
        of("proposal"),
        lambda _world: {"reason": "Why."},
        passes=(302,),
        unaudited="its set is in force already",
    ),
    # Method versions
    "method_list": Row(Kind.CLINIC, "DA"),
    "method_progress": Row(Kind.CLINIC, "DA", unaudited=STATE),
    "method_remeasure": Row(
        Kind.CLINIC, "DA", "post", passes=(302,), unaudited="refused: names no method"
    ),
    "method_switch": Row(
        Kind.CLINIC, "DA", "post", passes=(302,), unaudited="refused: names no version"
    ),
    # Administration
    "completeness": Row(Kind.CLINIC, "NTDSA"),
    "clinic_settings": Row(Kind.CLINIC, "A"),
    "member_list": Row(Kind.CLINIC, "A", unaudited=OWN),
    "member_add": Row(Kind.CLINIC, "A", unaudited="an empty form"),
    "member_create": Row(Kind.CLINIC, "A", unaudited="an empty form"),
    "member_password": Row(Kind.OBJECT, "A", "post", of("membership"), passes=(200, 302)),
    "member_remove": Row(Kind.OBJECT, "A", "post", of("membership"), passes=(302,)),
    "token_list": Row(Kind.CLINIC, "A", unaudited=OWN),
    "token_add": Row(Kind.CLINIC, "A", unaudited="an empty form"),
    "token_revoke": Row(Kind.OBJECT, "A", "post", of("token"), passes=(302,)),
}

PULL = Row(Kind.API_LIST, "NDS")
API: dict[str, Row] = {
    **{
        f"api_{name}": PULL
        for name in (
            "patients",
            "visits",
            "assessments",
            "relapses",
            "treatments",
            "phenotypes",
            "lesions",
            "scans",
            "measurements",
            "divergence",
        )
    },
    "api_patient": Row(Kind.API_OBJECT, "NDS", args=of("patient")),
    "api_patient_timeline": Row(Kind.API_OBJECT, "NDS", args=of("patient")),
    "api_patient_divergence": Row(Kind.API_OBJECT, "NDS", args=of("patient")),
    "api_run": Row(Kind.API_OBJECT, "NTRDA", args=of("run")),
    # Without files the answer is 400: the caller was let in.
    "api_upload": Row(
        Kind.API_LIST, "NT", "post", passes=(400,), unaudited="refused before anything was read"
    ),
    "api_schema": Row(Kind.PUBLIC, unaudited=OWN),
    "api_docs": Row(Kind.PUBLIC, unaudited=OWN),
    "api_nowhere": Row(
        Kind.PUBLIC, args=lambda _world: {"rest": "nothing"}, passes=(404,), unaudited=OWN
    ),
}

ROWS = {**PAGES, **API}
