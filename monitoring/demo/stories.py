"""The stories that the demo's patients tell: slopes, bends, scanners, gaps.

Values are plausible, not evidence: slopes lie around those of the literature defaults
(`monitoring/core/parameters/literature.json`); bends, dips and swelling are set so that a
reader can see them on a chart. Nothing here is a measurement of anybody.
"""

from dataclasses import dataclass
from enum import StrEnum

from monitoring.models import Phenotype, Treatment


class Story(StrEnum):
    """What a demo patient shows, as the page says it."""

    STABLE = "Stable"
    PARALLEL = "Brain and cord lose in parallel"
    CORD_FIRST = "Cord first"
    BRAIN_FIRST = "Brain first"
    SCANNER_CHANGE = "Scanner change"
    REJECTED_SCAN = "One scan rejected for an artifact"
    LATE_CORD = "Cord not scanned for years"
    SWELLING = "Relapse with swelling of the cord"
    TREATMENT_START = "Treatment started"
    TOO_FEW_SCANS = "Too few scans"
    CONTROL = "Healthy control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """How patients of a story are drawn; pairs are ranges or (mean, SD).

    Slopes and the bend are percent per year, times are years since onset. ``bend_after`` is
    the share of the follow-up after which the cord accelerates; ``cord_from`` the year of the
    first cord scan; ``treated_before_end`` how long before the last scan the first treatment
    began.
    """

    phenotypes: tuple[Phenotype, ...] = (Phenotype.RRMS,)
    years: tuple[float, float] = (4.0, 13.0)
    brain_slope: tuple[float, float] = (-0.35, 0.15)
    cord_slope: tuple[float, float] = (-0.70, 0.20)
    bend: tuple[float, float] | None = None
    bend_after: tuple[float, float] = (0.0, 0.0)
    edss_start: tuple[float, float] = (1.0, 2.5)
    edss_per_year: tuple[float, float] = (0.0, 0.05)
    relapses_per_year: float = 0.25
    changes_scanner: bool = False
    has_artifact: bool = False
    cord_from: tuple[float, float] = (0.0, 0.0)
    has_swelling: bool = False
    treated_before_end: tuple[float, float] | None = None
    most_scans: int = 40


_MILD = (
    Phenotype.RRMS, Phenotype.CIS, Phenotype.RRMS, Phenotype.RRMS, Phenotype.RIS,
)  # fmt: skip

PLOTS: dict[Story, Plot] = {
    Story.STABLE: Plot(
        phenotypes=_MILD,
        brain_slope=(-0.25, 0.10),
        cord_slope=(-0.45, 0.15),
        edss_start=(0.0, 2.0),
        relapses_per_year=0.10,
    ),
    Story.PARALLEL: Plot(
        phenotypes=(Phenotype.RRMS, Phenotype.PPMS, Phenotype.RRMS),
        brain_slope=(-1.00, 0.15),
        cord_slope=(-1.35, 0.20),
        edss_start=(1.5, 3.0),
        edss_per_year=(0.12, 0.25),
    ),
    Story.CORD_FIRST: Plot(
        phenotypes=(Phenotype.RRMS, Phenotype.SPMS, Phenotype.SPMS),
        years=(6.0, 14.0),
        brain_slope=(-0.35, 0.10),
        cord_slope=(-0.80, 0.20),
        bend=(-2.6, 0.5),
        bend_after=(0.35, 0.65),
        edss_start=(1.5, 2.5),
        edss_per_year=(0.02, 0.08),
    ),
    Story.BRAIN_FIRST: Plot(
        phenotypes=(Phenotype.RRMS, Phenotype.PPMS),
        brain_slope=(-1.30, 0.20),
        cord_slope=(-0.55, 0.15),
        edss_start=(1.5, 2.5),
        edss_per_year=(0.05, 0.12),
    ),
    Story.SCANNER_CHANGE: Plot(years=(6.0, 15.0), changes_scanner=True),
    Story.REJECTED_SCAN: Plot(has_artifact=True),
    Story.LATE_CORD: Plot(years=(7.0, 12.0), cord_from=(3.5, 5.0)),
    Story.SWELLING: Plot(years=(4.0, 9.0), has_swelling=True, relapses_per_year=0.4),
    Story.TREATMENT_START: Plot(
        years=(4.0, 8.0), treated_before_end=(1.3, 2.4), relapses_per_year=0.4
    ),
    Story.TOO_FEW_SCANS: Plot(years=(2.0, 4.0), most_scans=2),
    Story.CONTROL: Plot(
        phenotypes=(Phenotype.HC,),
        years=(2.5, 6.5),
        brain_slope=(-0.15, 0.08),
        cord_slope=(-0.20, 0.12),
        relapses_per_year=0.0,
    ),
}

# Drug and efficacy class: the platform therapies and oral teriflunomide and dimethyl fumarate
# are counted as moderate, the antibodies, cladribine and the S1P modulators as high (a common
# grouping, not a judgement of ours).
DRUGS: dict[Treatment.Efficacy, tuple[str, ...]] = {
    Treatment.Efficacy.MODERATE: (
        "interferon beta-1a",
        "glatiramer acetate",
        "teriflunomide",
        "dimethyl fumarate",
    ),
    Treatment.Efficacy.HIGH: (
        "ocrelizumab",
        "natalizumab",
        "ofatumumab",
        "cladribine",
        "fingolimod",
    ),
}


@dataclass(frozen=True, slots=True)
class ClinicPlan:
    """A demo clinic: the letter of its pseudonyms, how many patients tell which story."""

    name: str
    letter: str
    separate_neck_scan: bool
    patients: dict[Story, int]


CLINICS: tuple[ClinicPlan, ...] = (
    ClinicPlan(
        name="Vltava MS Centre (synthetic)",
        letter="V",
        separate_neck_scan=False,
        patients={
            Story.STABLE: 8,
            Story.PARALLEL: 6,
            Story.CORD_FIRST: 5,
            Story.BRAIN_FIRST: 3,
            Story.SCANNER_CHANGE: 4,
            Story.REJECTED_SCAN: 3,
            Story.LATE_CORD: 3,
            Story.SWELLING: 3,
            Story.TREATMENT_START: 3,
            Story.TOO_FEW_SCANS: 3,
            # 40 make a norm; some lack an accepted cord value.
            Story.CONTROL: 46,
        },
    ),
    ClinicPlan(
        name="Labe MS Clinic (synthetic)",
        letter="L",
        separate_neck_scan=True,
        patients={
            Story.STABLE: 4,
            Story.PARALLEL: 3,
            Story.CORD_FIRST: 2,
            Story.BRAIN_FIRST: 2,
            Story.SCANNER_CHANGE: 1,
            Story.REJECTED_SCAN: 1,
            Story.LATE_CORD: 1,
            Story.SWELLING: 1,
            Story.TREATMENT_START: 1,
            Story.TOO_FEW_SCANS: 1,
            Story.CONTROL: 7,
        },
    ),
)
