"""The patient's figure: five rows on one axis, honest about what was not used."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from monitoring.charts.canvas import runs
from monitoring.charts.card import divergence_card
from monitoring.charts.course import lanes_of
from monitoring.charts.palette import PRINT
from monitoring.charts.sparkline import chance_course, sparkline_pair
from monitoring.charts.timeline import HEIGHT_PX, timeline_figure
from monitoring.models import Assessment, Clinic, Patient, Relapse, Review, Treatment
from monitoring.selectors.timelines import Timeline, timeline_of
from monitoring.services.divergence import divergence_refresh
from monitoring.templatetags.neuraxis import number, signed
from tests.factories.record import course_make, patient_make, run_make, scan_make

TODAY = date(2026, 11, 1)
Figure = dict[str, Any]


def timeline_after(patient: Patient) -> Timeline:
    divergence_refresh(patient.pk)
    return timeline_of(Patient.objects.get(pk=patient.pk), today=TODAY)


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Return a patient of eight years with a relapse and two treatments."""
    patient = patient_make(vltava, "P1")
    scans = course_make(patient, years=8, cord=-2.5)
    for index, scan in enumerate(scans):
        Assessment.objects.create(visit=scan.session.visit, edss=Decimal(index // 2 + 1))
    Relapse.objects.create(
        patient=patient, onset=date(2018, 2, 10), severity="severe", is_spinal=True
    )
    Treatment.objects.create(
        patient=patient,
        drug="interferon",
        efficacy="moderate",
        starts_on=date(2016, 5, 1),
        ends_on=date(2019, 1, 1),
    )
    Treatment.objects.create(
        patient=patient, drug="ocrelizumab", efficacy="high", starts_on=date(2019, 1, 2)
    )
    return patient


def test_every_mark_of_the_clinical_course_leads_to_its_entry(
    client: Client, alice: User, patient: Patient
) -> None:
    figure = timeline_figure(timeline_after(patient))
    client.force_login(alice)
    page = client.get(reverse("fact_list", args=[patient.pk])).content.decode()

    led = {
        mark
        for trace in figure["data"]
        for mark in trace.get("customdata", ())
        if mark.startswith("fact-")
    }

    facts = [
        *Assessment.objects.filter(visit__patient=patient),
        *patient.relapses.all(),
        *patient.treatments.all(),
    ]
    assert led == {f"fact-{fact.pk}" for fact in facts}
    assert len(facts) == 11
    assert all(f'id="{mark}"' in page for mark in led)


def test_an_interruption_is_hatched_and_read_by_the_crosshair(patient: Patient) -> None:
    Treatment.objects.filter(drug="interferon").update(
        paused_on=date(2017, 3, 1), resumed_on=date(2017, 9, 1)
    )

    figure = timeline_figure(timeline_after(patient))

    hatched = [trace for trace in figure["data"] if "text" in trace and "fillpattern" in trace]
    assert [trace["x"] for trace in hatched] == [
        ["2017-03-01", "2017-09-01", "2017-09-01", "2017-03-01"]
    ]
    assert "interrupted from 2017-03-01, went on from 2017-09-01" in hatched[0]["text"]
    said = {row[2]: row[3:] for row in figure["layout"]["meta"]["treatments"]}
    assert said == {"interferon": ["2017-03-01", "2017-09-01"], "ocrelizumab": [None, None]}


def marks(figure: Figure, region: str) -> Figure:
    """Return the trace with the measured values of a region."""
    wanted = {"role": "points", "region": region}
    return next(trace for trace in figure["data"] if trace.get("meta") == wanted)


def words(figure: Figure) -> list[str]:
    return [note["text"] for note in figure["layout"]["annotations"]]


def test_five_rows_share_one_axis_and_half_an_edss_step_is_eight_pixels(
    patient: Patient,
) -> None:
    layout = timeline_figure(timeline_after(patient))["layout"]
    axes = [layout[name] for name in ("yaxis", "yaxis2", "yaxis3", "yaxis4", "yaxis5")]
    assert {axis["anchor"] for axis in axes} == {"x"}
    tops = [axis["domain"][1] for axis in axes]
    assert tops == sorted(tops, reverse=True)
    for above, below in pairwise(axes):
        assert above["domain"][0] > below["domain"][1]
    inner = HEIGHT_PX - layout["margin"]["t"] - layout["margin"]["b"]
    edss = layout["yaxis"]
    pixels = (edss["domain"][1] - edss["domain"][0]) * inner
    assert pixels >= 160
    assert pixels / (edss["range"][1] - edss["range"][0]) / 2 >= 8
    assert layout["height"] >= 720


def test_brain_and_cord_have_the_same_scale(patient: Patient) -> None:
    layout = timeline_figure(timeline_after(patient))["layout"]
    assert layout["yaxis2"]["range"] == layout["yaxis3"]["range"]
    assert layout["yaxis2"]["type"] == layout["yaxis3"]["type"] == "log"


def test_the_window_begins_before_onset_and_ends_a_year_from_now(patient: Patient) -> None:
    start, end = timeline_figure(timeline_after(patient))["layout"]["xaxis"]["range"]
    assert start <= "2015-03-01"
    assert end == (TODAY + timedelta(days=365)).isoformat()


def test_a_value_carries_a_dot_until_somebody_reviewed_it(patient: Patient, bob: User) -> None:
    before = timeline_figure(timeline_after(patient))
    assert set(marks(before, "cord")["marker"]["symbol"]) == {"circle-dot"}
    run_id = marks(before, "cord")["customdata"][0]
    Review.objects.create(run_id=run_id, verdict="accepted", reviewer=bob)
    after = marks(timeline_figure(timeline_after(patient)), "cord")
    assert after["marker"]["symbol"][:2] == ["circle", "circle-dot"]


def test_a_rejected_value_is_a_cross_without_an_error_bar(patient: Patient, bob: User) -> None:
    run_id = marks(timeline_figure(timeline_after(patient)), "cord")["customdata"][3]
    Review.objects.create(run_id=run_id, verdict="rejected", reason="artifact", reviewer=bob)
    figure = timeline_figure(timeline_after(patient))
    trace = marks(figure, "cord")
    assert trace["marker"]["symbol"][3] == "x-thin-open"
    assert trace["error_y"]["array"][3] == trace["error_y"]["arrayminus"][3] == 0
    assert "Rejected: Artifact in the image" in trace["hovertext"][3]
    rejected_day = trace["x"][3]
    joined = [
        t
        for t in figure["data"]
        if t["yaxis"] == "y3" and t.get("line", {}).get("dash") == "dot"
    ]
    assert joined
    assert all(rejected_day not in trace["x"] for trace in joined)


def test_a_value_that_waits_for_a_reader_has_a_dot(patient: Patient) -> None:
    run_make(
        scan_make(patient, date(2024, 3, 1)),
        "neuraxis-cord",
        measures={("cord_pmj_64mm", "mean_csa"): 5.0},
        checks={"coverage": "fail"},
    )
    trace = marks(timeline_figure(timeline_after(patient)), "cord")
    assert trace["marker"]["symbol"][-1] == "circle-open-dot"
    # An absurd value that is in no statistic does not squeeze the scale of those that are.
    assert trace["y"][-1] > 50


def test_another_scanner_is_another_shape_and_breaks_the_line(patient: Patient) -> None:
    for year in (2024, 2025):
        scan = scan_make(patient, date(year, 3, 1), scanner="Vida")
        run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 58.0})
    figure = timeline_figure(timeline_after(patient))
    trace = marks(figure, "cord")
    assert [s.split("-")[0] for s in trace["marker"]["symbol"]] == ["circle"] * 8 + [
        "square"
    ] * 2
    joined = [
        t["x"]
        for t in figure["data"]
        if t["yaxis"] == "y3" and t.get("line", {}).get("dash") == "dot"
    ]
    assert sorted(len(x) for x in joined) == [2, 8]
    assert "scanner changed" in words(figure)


def test_the_gap_is_coloured_only_where_its_interval_leaves_out_zero(patient: Patient) -> None:
    figure = timeline_figure(timeline_after(patient))
    bands = [t for t in figure["data"] if t["yaxis"] == "y4" and t.get("fill") == "toself"]
    coloured = [b for b in bands if b["fillcolor"] == "var(--gap-band)"]
    for band in coloured:
        half = len(band["y"]) // 2
        low, high = band["y"][:half], band["y"][half:][::-1]
        assert all(top < 0 or bottom > 0 for bottom, top in zip(low, high, strict=True))


def test_a_short_course_says_not_yet_assessable_and_draws_no_line(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    course_make(patient, years=2)
    figure = timeline_figure(timeline_after(patient))
    assert "Not yet assessable" in words(figure)
    filled = [t for t in figure["data"] if t["yaxis"] in {"y2", "y4"} and t.get("fill")]
    assert ["fillpattern" in trace for trace in filled] == [True]  # the hatch alone


def test_an_empty_patient_has_an_empty_figure_that_says_so(vltava: Clinic) -> None:
    patient = patient_make(vltava, onset_date=None, birth_year=None)
    figure = timeline_figure(timeline_of(patient, today=TODAY))
    assert {"No EDSS yet", "No usable brain values yet", "No usable cord values yet"} <= set(
        words(figure)
    )
    meta = figure["layout"]["meta"]
    assert meta["onset"] is meta["born"] is None
    assert meta["values"] == {"brain": [], "cord": []}


def test_concurrent_treatments_lie_below_each_other(patient: Patient) -> None:
    Treatment.objects.create(
        patient=patient, drug="methylprednisolone", efficacy="other", starts_on=date(2019, 6, 1)
    )
    assert lanes_of(timeline_of(patient, today=TODAY)) == [0, 0, 1]


def test_drugs_are_named_and_spinal_relapses_marked(patient: Patient) -> None:
    figure = timeline_figure(timeline_after(patient))
    assert {"interferon", "ocrelizumab"} <= set(words(figure))
    relapse = next(t for t in figure["data"] if t.get("text") == ["S"])
    assert relapse["marker"]["size"] > 13


def test_the_first_months_of_a_treatment_are_shaded_under_the_brain(patient: Patient) -> None:
    shapes = timeline_figure(timeline_after(patient))["layout"]["shapes"]
    shaded = [(s["x0"], s["x1"]) for s in shapes if s["yref"] == "y2 domain"]
    assert ("2019-01-02", "2019-07-04") in shaded


def test_a_report_gets_plain_colours(patient: Patient) -> None:
    assert "var(--" not in str(timeline_figure(timeline_after(patient), palette=PRINT))
    assert "var(--cord)" in str(timeline_figure(timeline_after(patient)))


def test_every_value_can_be_read_out_by_the_crosshair(patient: Patient) -> None:
    meta = timeline_figure(timeline_after(patient))["layout"]["meta"]
    assert meta["values"]["cord"][0] == ["2016-03-01", 100.0]
    assert meta["edss"][0] == ["2016-03-01", 1.0]
    days, mean, low, high = meta["gap"]
    assert len(days) == len(mean) == len(low) == len(high)
    assert meta["treatments"][-1] == ["2019-01-02", None, "ocrelizumab", None, None]


@pytest.mark.parametrize(
    ("value", "with_sign", "plain"),
    [
        (-1.26, "−1.3", "−1.3"),
        (0.44, "+0.4", "0.4"),
        (-0.04, "0.0", "0.0"),
        (0.0, "0.0", "0.0"),
        (None, "–", "–"),
        ("", "–", "–"),
    ],
)
def test_numbers_have_true_minus_signs_and_nought_has_none(
    value: float | None, with_sign: str, plain: str
) -> None:
    assert (signed(value), number(value)) == (with_sign, plain)


def test_hover_says_brain_in_cm3_with_its_interval(patient: Patient) -> None:
    figure = timeline_figure(timeline_after(patient))
    assert "1100.0 ± 21.6 cm³" in marks(figure, "brain")["hovertext"][0]
    assert "70.0 ± 1.4 mm²" in marks(figure, "cord")["hovertext"][0]


def test_runs_finds_stretches_of_two_or_more() -> None:
    assert runs([True, False, True, True, True, False]) == [(2, 5)]


def test_a_card_shows_no_chance_below_the_minimum_of_data(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    course_make(patient, years=2)
    card = divergence_card(timeline_after(patient))
    assert (card.level, card.faster, card.change) == ("insufficient", None, None)
    assert card.headline == "Not yet assessable."
    assert card.sentence.startswith("Needs ")


def test_a_card_shows_level_words_and_chances(patient: Patient) -> None:
    card = divergence_card(timeline_after(patient))
    assert card.level in {"watch", "flag"}
    assert card.context.endswith("Research use, not a diagnosis.")
    assert card.faster is not None
    assert card.change is not None
    assert card.problem == ""


def test_a_failed_model_shows_no_stale_level(patient: Patient) -> None:
    divergence_refresh(patient.pk)
    Patient.objects.filter(pk=patient.pk).update(divergence_error="The values cannot be.")
    card = divergence_card(timeline_of(Patient.objects.get(pk=patient.pk), today=TODAY))
    assert card.level == "uncomputed"
    assert card.sentence == card.pattern == ""
    assert "The values cannot be. The last valid statement is of 2023-03-01." in card.problem


def test_a_sparkline_pair_shares_its_scale() -> None:
    days = [date(2020, 1, 1), date(2021, 1, 1)]
    brain = list(zip(days, (100.0, 100.0), strict=True))
    cord = list(zip(days, (100.0, 90.0), strict=True))
    first, second = sparkline_pair([brain, cord], names=("Brain", "Cord"))
    assert first is not None
    assert second is not None
    assert first.points.split()[0] == second.points.split()[0]
    assert second.last_y > first.last_y
    assert second.words == "Cord: 2 values, 90.0 % of the first, 2020-01-01 to 2021-01-01"


def test_nothing_measured_is_no_sparkline() -> None:
    assert sparkline_pair([[], []], names=("Brain", "Cord")) == [None, None]


def test_chances_are_placed_between_nought_and_one() -> None:
    course = chance_course(
        [("2020-01-01", None), ("2021-01-01", 0.0), ("2022-01-01", 1.0)],
        name="P",
        watch=0.5,
        flag=0.8,
    )
    assert course is not None
    assert [dot.y for dot in course.dots] == [40.0, 0.0]
    assert (course.value, course.watch_y, course.flag_y) == (1.0, 20.0, 8.0)
