"""The report for the chart: one sheet, the screen's numbers, the screen's figure drawn."""

import re
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from monitoring import printing
from monitoring.charts.palette import PRINT
from monitoring.charts.symbols import UnknownSymbol, symbol_path
from monitoring.charts.timeline import timeline_figure
from monitoring.charts.vector import Frame, svg_of
from monitoring.models import (
    Assessment,
    AuditEntry,
    Clinic,
    Patient,
    Relapse,
    Review,
    Treatment,
)
from monitoring.selectors.reports import LAST_VISITS, report_of
from monitoring.selectors.timelines import timeline_of
from monitoring.services.divergence import divergence_refresh
from monitoring.views.reports import STYLES
from tests.factories.record import course_make, patient_make, run_make, scan_make

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 1)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Return a patient of eleven years on two scanners, with everything a course can have."""
    patient = patient_make(vltava, "P<1>", is_synthetic=True)
    for index, scan in enumerate(course_make(patient, years=10, cord=-2.5)):
        Assessment.objects.create(visit=scan.session.visit, edss=Decimal(index // 2 + 1))
    other = scan_make(patient, date(2026, 3, 1), scanner="Prisma")
    cord = {("cord_pmj_64mm", "mean_csa"): 52.0}
    run = run_make(other, "neuraxis-cord", measures=cord)
    Review.objects.create(run=run, verdict="rejected", reason="outline")
    brain = {("brain_parenchyma", "volume"): 1.04e6}
    run_make(other, "neuraxis-brain", measures=brain)
    Relapse.objects.create(
        patient=patient, onset=date(2018, 2, 10), severity="severe", is_spinal=True
    )
    Treatment.objects.create(
        patient=patient, drug="ocrelizumab", efficacy="high", starts_on=date(2019, 1, 2)
    )
    return patient


@pytest.fixture
def neurologist(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def drawn(patient: Patient) -> ET.Element:
    figure = timeline_figure(timeline_of(patient, today=TODAY), palette=PRINT)
    return ET.fromstring(svg_of(figure, label="Course of P<1>"))


def test_the_drawing_holds_every_mark_of_the_figure_and_is_vector_only(patient):
    figure = timeline_figure(timeline_of(patient, today=TODAY), palette=PRINT)
    root = drawn(patient)
    marked = [
        group
        for group in root.iter(f"{SVG}g")
        if (group.get("transform") or "").startswith("translate")
    ]
    expected = sum(
        y is not None
        for trace in figure["data"]
        if "markers" in trace.get("mode", "")
        for y in trace["y"]
    )
    assert len(marked) == expected >= 22 + 10 + 1  # values, EDSS, relapse
    assert not list(root.iter(f"{SVG}image"))
    words = " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    for word in ("EDSS", "Brain", "Cord", "Gap", "ocrelizumab", "2018", "onset", "today"):
        assert word in words


def test_a_value_lies_at_the_height_of_its_percent(patient):
    timeline = timeline_of(patient, today=TODAY)
    figure = timeline_figure(timeline, palette=PRINT)
    frame = Frame(figure["layout"], figure["data"], (860, 560))
    top, bottom = frame.row("y3")
    low, high = (10**end for end in frame.ranges["y3"])
    assert frame.y(high, "y3") == pytest.approx(top)
    assert frame.y(low, "y3") == pytest.approx(bottom)
    middle = (low * high) ** 0.5  # the axis is logarithmic
    assert frame.y(middle, "y3") == pytest.approx((top + bottom) / 2)
    assert frame.x(figure["layout"]["xaxis"]["range"][0]) == pytest.approx(frame.left)


def test_a_shape_that_cannot_be_drawn_is_an_error_not_another_shape():
    with pytest.raises(UnknownSymbol, match="y-up"):
        symbol_path("y-up", 9)


def test_page_and_figure_tell_the_same_numbers(neurologist, patient):
    divergence_refresh(patient.pk)
    divergence = timeline_of(patient, today=TODAY).now
    page = neurologist.get(reverse("report", args=[patient.pk])).content.decode()
    screen = neurologist.get(reverse("patient_detail", args=[patient.pk])).content.decode()
    for name in ("cord_percent_per_year", "brain_percent_per_year", "d_percent_per_year"):
        number = f"{divergence[name]:+.1f}".replace("-", "−")
        assert number in page
        assert number in screen
    assert divergence["headline"] in page
    assert "P&lt;1&gt;" in page
    assert "P<1>" not in page


def test_the_report_says_what_it_leaves_out_who_read_and_what_it_is_not(neurologist, patient):
    page = neurologist.get(reverse("report", args=[patient.pk])).content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "1 of 22 values reviewed" in text
    assert "left out of every number: 1 rejected" in text
    assert f"{11 - LAST_VISITS - 1} visits between" in text
    assert "not a diagnosis" in text
    assert "Synthetic data. No real patient." in text
    assert "neuraxis-cord 1.0; n = 10" in text
    # In the fixed order of the chart.
    order = ["Statement", "report__figure", "report__table", "Comparability", "Reading",
             "Caveats", "Versions"]  # fmt: skip
    places = [page.index(word) for word in order]
    assert places == sorted(places)


def test_the_pdf_is_written_down_and_holds_no_picture(neurologist, patient):
    answer = neurologist.get(reverse("report_pdf", args=[patient.pk]))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith(
        f'attachment; filename="{patient.pk.hex[:8]}'
    )
    assert answer.content.startswith(b"%PDF-1.7")
    assert b"/Subtype /Image" not in answer.content
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.pseudonym) == ("export", "report", "P<1>")


def test_figure_table_and_caveats_fit_one_page(neurologist, patient):
    shown = neurologist.get(reverse("report", args=[patient.pk])).context
    names = ("patient", "timeline", "report", "card", "figure", "printed_at", "intended_use")
    html = render_to_string("monitoring/report_pdf.html", {name: shown[name] for name in names})
    css = (settings.BASE_DIR / "static" / STYLES).read_text()
    assert len(printing.document_of(html, css=css).pages) == 1


def test_nothing_in_a_report_is_fetched():
    html = '<img src="file:///etc/hostname" alt=""><p>text</p>'
    with pytest.raises(BaseException, match="Error fetching"):
        printing.pdf_of(html, css="")


def test_without_the_system_packages_the_page_says_what_to_install(
    neurologist, patient, monkeypatch
):
    monkeypatch.setattr(
        "monitoring.views.reports.pdf_problem", lambda: f"Install {printing.PACKAGES}."
    )
    monkeypatch.setattr("monitoring.printing.pdf_problem", lambda: "Install libpango.")
    page = neurologist.get(reverse("report", args=[patient.pk]))
    pdf = neurologist.get(reverse("report_pdf", args=[patient.pk]))
    assert "libpangoft2-1.0-0" in page.content.decode()
    assert "report.pdf" not in page.content.decode()
    assert pdf.status_code == 503
    assert "Install libpango." in pdf.content.decode()


def test_no_report_without_a_usable_value(neurologist, vltava):
    patient = patient_make(vltava, "P2")
    run = run_make(
        scan_make(patient, date(2020, 1, 1)),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.1e6},
    )
    Review.objects.create(run=run, verdict="rejected", reason="outline")
    page = neurologist.get(reverse("report", args=[patient.pk]))
    pdf = neurologist.get(reverse("report_pdf", args=[patient.pk]))
    assert "No report on P2 yet" in page.content.decode()
    assert pdf.status_code == 409


def test_a_report_of_one_visit_speaks_of_one_visit(vltava):
    patient = patient_make(vltava, "P3")
    run_make(
        scan_make(patient, date(2020, 1, 1)),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.1e6},
    )
    report = report_of(timeline_of(patient, today=TODAY))
    assert [(visit.when, visit.cord) for visit in report.visits] == [(date(2020, 1, 1), None)]
    assert (report.scans, report.epochs, report.visits_left_out) == (1, 1, 0)
    assert "None" not in render_to_string(
        "monitoring/partials/_report.html",
        {"patient": patient, "timeline": report.timeline, "report": report, "card": {}},
    )
