"""What the pages of the model's parameters say, in words and rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from monitoring.core.expected_flags import ExpectedFlags, LevelCost
from monitoring.core.norms import Norm
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.models import ParameterProposal, ParameterSet
from monitoring.selectors.caveats import sdc_percent
from monitoring.selectors.parameters import SetInForce

LINE_WORDS = {
    "watch_p_faster_than_1": "Watch from P(D < −1 %/yr)",
    "flag_p_faster_than_1": "Flag from P(D < −1 %/yr)",
    "watch_p_change": "Watch from P(change)",
    "flag_p_change": "Flag from P(change)",
    "hysteresis": "Left when both are this far below",
    "minimum_brain_scans": "Least brain scans",
    "minimum_cord_scans": "Least cord scans",
    "minimum_years": "Least years of both",
    "outlier_weight": "Probable outlier below weight",
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """One parameter of brain and cord; ``old`` values are None outside a comparison."""

    name: str
    unit: str
    brain: float
    cord: float
    old_brain: float | None = None
    old_cord: float | None = None


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of the levels; ``old`` is None outside a comparison."""

    name: str
    value: float
    old: float | None = None

    @property
    def is_changed(self) -> bool:
        """Say whether old and new differ."""
        return self.old is not None and self.old != self.value


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one level costs under one set."""

    level: str
    whose: str
    cost: LevelCost


@dataclass(frozen=True, slots=True, kw_only=True)
class SetView:
    """A parameter set in words and rows."""

    name: str
    title: str
    badge: str
    digest: str
    pairs: tuple[PairRow, ...]
    correlation: float
    lines: tuple[LineRow, ...]
    costs: tuple[CostRow, ...]
    simulated: ExpectedFlags | None
    sdc: Mapping[str, float]
    provenance: Mapping[str, Any]
    norms: tuple[Norm, ...]
    refusals: tuple[str, ...]
    is_own: bool


def set_view(chosen: SetInForce, row: ParameterSet | None) -> SetView:
    """Return a set as its page shows it."""
    parameters = chosen.parameters
    return SetView(
        name=parameters.id,
        title=parameters.title,
        badge=set_badge(parameters),
        digest=parameters.digest(),
        pairs=_pairs(parameters),
        correlation=parameters.slope_correlation,
        lines=_lines(asdict(parameters.policy)),
        costs=_costs("", chosen.expected) if chosen.expected else (),
        simulated=chosen.expected,
        sdc={region.value: value for region, value in sdc_percent(parameters).items()},
        provenance=row.provenance if row else {},
        norms=chosen.norms,
        refusals=chosen.norm_refusals,
        is_own=row is not None,
    )


def set_badge(parameters: Parameters) -> str:
    """Return where a set comes from; lines that a clinic moved are not from the literature."""
    literature = literature_defaults()
    is_moved = parameters.policy != literature.policy
    if parameters.badge == literature.badge and is_moved:
        return f"{parameters.badge}, lines of this clinic"
    return parameters.badge


def _pairs(parameters: Parameters) -> tuple[PairRow, ...]:
    """Return the parameters that a refit can change."""
    rows = (
        ("mean slope", "%/yr", parameters.slope_mean),
        ("slope SD between people", "%/yr", parameters.slope_sd),
        ("error SD of one scan", "%", parameters.error_sd),
        ("patient-by-epoch SD", "%", parameters.patient_by_epoch_sd),
        ("slope walk SD", "%/yr per √yr", parameters.slope_walk_sd),
        ("pseudo-atrophy mean", "%", parameters.pseudo_atrophy_mean),
        ("pseudo-atrophy SD", "%", parameters.pseudo_atrophy_sd),
    )
    return tuple(PairRow(name, unit, *pair) for name, unit, pair in rows)


def _lines(
    policy: Mapping[str, float], old: Mapping[str, float] | None = None
) -> tuple[LineRow, ...]:
    """Return the lines in the order of the page."""
    return tuple(
        LineRow(words, policy[name], old[name] if old else None)
        for name, words in LINE_WORDS.items()
    )


def _costs(whose: str, expected: ExpectedFlags) -> tuple[CostRow, ...]:
    """Return flag and watch of one set."""
    return (
        CostRow("flag", whose, expected.flag),
        CostRow("watch", whose, expected.watch),
    )


@dataclass(frozen=True, slots=True)
class OffsetRow:
    """The offset of one scanner epoch, old and new."""

    epoch: str
    brain: float
    cord: float
    old_brain: float
    old_cord: float


@dataclass(frozen=True, slots=True)
class LevelCount:
    """How many patients go from one level to another."""

    old: str
    new: str
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """Old and new side by side."""

    pairs: tuple[PairRow, ...]
    correlation: tuple[float, float]
    offsets: tuple[OffsetRow, ...]
    lines: tuple[LineRow, ...]
    costs: tuple[CostRow, ...]
    simulated: ExpectedFlags
    moves: tuple[LevelCount, ...]
    stays: int
    assessed: int
    provenance: Mapping[str, Any]
    norms: tuple[Norm, ...]
    refusals: tuple[str, ...]


def proposal_view(proposal: ParameterProposal) -> ProposalView | None:
    """Return the comparison of a proposal, None before it is ready."""
    row, said = proposal.parameter_set, proposal.comparison
    if row is None or not said:
        return None
    flat = {one["name"]: one for one in said["parameters"]}
    old, new = (ExpectedFlags.from_document(said["expected"][name]) for name in ("old", "new"))
    counts = [
        LevelCount(pair.split()[0], pair.split()[1], number)
        for pair, number in sorted(said["levels"].items())
    ]
    return ProposalView(
        pairs=_compared(flat),
        correlation=(flat["slope correlation"]["old"], flat["slope correlation"]["new"]),
        offsets=_offsets(flat, row.provenance.get("epochs", {})),
        lines=_lines(
            {line["name"]: line["new"] for line in said["lines"]},
            {line["name"]: line["old"] for line in said["lines"]},
        ),
        costs=(*_costs("in force", old), *_costs("proposed", new)),
        simulated=new,
        moves=tuple(one for one in counts if one.old != one.new),
        stays=sum(one.patients for one in counts if one.old == one.new),
        assessed=said["assessed"],
        provenance=row.provenance,
        norms=tuple(Norm.from_document(norm) for norm in row.norms if "refusal" not in norm),
        refusals=tuple(norm["refusal"] for norm in row.norms if "refusal" in norm),
    )


def _compared(flat: Mapping[str, Mapping[str, Any]]) -> tuple[PairRow, ...]:
    """Return brain and cord of each parameter in one row."""
    names = [
        name.removeprefix("brain ")
        for name in flat
        if name.startswith("brain ") and not name.startswith("brain offset of ")
    ]
    return tuple(
        PairRow(
            name,
            flat[f"brain {name}"]["unit"],
            flat[f"brain {name}"]["new"],
            flat[f"cord {name}"]["new"],
            flat[f"brain {name}"]["old"],
            flat[f"cord {name}"]["old"],
        )
        for name in names
    )


def _offsets(
    flat: Mapping[str, Mapping[str, Any]], words: Mapping[str, str]
) -> tuple[OffsetRow, ...]:
    """Return the epochs' offsets under the clinic's own names."""
    stem = "brain offset of "
    epochs: Sequence[str] = [name.removeprefix(stem) for name in flat if name.startswith(stem)]
    rows = [
        OffsetRow(
            words.get(epoch, epoch),
            flat[f"brain offset of {epoch}"]["new"],
            flat[f"cord offset of {epoch}"]["new"],
            flat[f"brain offset of {epoch}"]["old"],
            flat[f"cord offset of {epoch}"]["old"],
        )
        for epoch in epochs
    ]
    return tuple(sorted(rows, key=lambda row: row.epoch))


def document_text(proposal: ParameterProposal) -> str:
    """Return the set of a proposal as a file for ``assess --parameters``."""
    if proposal.parameter_set is None:
        raise ValueError("This proposal has no set.")
    return Parameters.from_document(proposal.parameter_set.document).to_json()
