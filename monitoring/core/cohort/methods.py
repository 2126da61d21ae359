"""The methods paragraph: what was done with this cohort, ready to be pasted into a paper."""

from collections.abc import Mapping, Sequence

import numpy as np

from monitoring.core.cohort.definition import Representative
from monitoring.core.cohort.losses import MINIMUM_GROUP
from monitoring.core.cohort.report import Room, Verdict, listing
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import STRUCTURE_WORDS

# What was done, by the room that did it: a room without an answer has no sentence.
DONE = {
    "losses": (
        "Losses are mean residuals, on the log scale, from a regression in the controls "
        "on age, sex and intracranial volume. "
    ),
    "correlations": (
        "Correlations with the cord are Pearson correlations of logarithms, partial for "
        "age, sex, intracranial volume and disease duration, with Fisher intervals; "
        "groups were compared by Fisher's z with Holm's correction. "
    ),
    "slopes": "Slopes come from a bivariate linear mixed model by maximum likelihood. ",
    "discrimination": (
        "EDSS 2–2.5 and 3–3.5 were compared by Welch's t test with Holm's correction, "
        "Hedges g and the area under the curve (DeLong; all visits clustered by patient, "
        "Obuchowski). "
    ),
    "verification": (
        "Time to confirmed worsening (cdw-168d), progression independent of relapses "
        "(muller2023) and secondary progression by rule (Lorscheider 2016) was modelled "
        "by Cox regression with Efron ties and divergence as of each scan as a "
        "time-varying covariate, adjusted for age, EDSS and the brain's slope. "
    ),
    "paradox": "Explained variance of the EDSS is from 10-fold cross-validation. ",
}


def methods_paragraph(
    selected: Selected, rooms: Sequence[Room], *, versions: Mapping[str, str], seed: int
) -> str:
    """Return the paragraph for one selection and the answers that it gave."""
    definition = selected.definition
    patients = int((~selected.is_control).sum())
    controls = int(selected.is_control.sum())
    which = "latest" if definition.visit is Representative.LATEST else "first"
    groups = listing([band.name for band in definition.groups])
    structures = listing([STRUCTURE_WORDS[s].lower() for s in selected.structures])
    synthetic = "The data are synthetic. " if selected.cohort.is_synthetic else ""
    epochs = int(np.unique(selected.epoch).size)
    answered = {room.slug for room in rooms if room.verdict is not Verdict.CANNOT_SAY}
    done = "".join(words for slug, words in DONE.items() if slug in answered)
    open_rooms = [f"“{room.title}”" for room in rooms if room.slug not in answered]
    unanswered = (
        f"The data were too few, or not of the kind needed, for {listing(open_rooms)}. "
        if open_rooms
        else ""
    )
    return (
        f"{synthetic}We analysed {patients} patients ({listing(list(definition.phenotypes))}) "
        f"and {controls} healthy controls aged {definition.age_from} to {definition.age_to} "
        f"years. The {which} visit with usable brain and cord measurements and an EDSS within "
        f"{definition.edss_within_days} days stood for each patient; rejected measurements "
        f"were left out. Brain volumes were measured by {selected.brain_kind.method} "
        f"{selected.brain_kind.version} and the cord ({selected.cord_kind}) on {epochs} "
        f"scanner epoch{'s' if epochs > 1 else ''}; structures: {structures}. EDSS groups "
        f"were {groups}. {done}Groups of fewer than {MINIMUM_GROUP} were not analysed. "
        f"{unanswered}Cohort definition SHA-256 {definition.digest}; Neuraxis analysis "
        f"{versions['analysis']}, Python {versions['python']}, numpy {versions['numpy']}, "
        f"scipy {versions['scipy']}, seed {seed}."
    )
