"""The table door: what goes in, what comes out, what is refused."""

import csv
import io
import random

import pytest

from monitoring.core.assessing import ASSESSMENT_COLUMNS, AsOf, assess_table
from monitoring.core.errors import InvalidParameters, InvalidTable
from monitoring.core.parameter_set import Parameters, literature_defaults
from tests.monitoring.core.test_divergence import observations_of

PARAMETERS = literature_defaults()
HEADER = "patient_id,date,region,value,epoch,quality"


def table_of(*names: str) -> str:
    lines = [HEADER]
    for name in names:
        lines += [
            f"{name},{o.when},{o.region},{o.value!r},{o.epoch},{o.quality}"
            for o in observations_of(name)
        ]
    return "\n".join(lines) + "\n"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_each_patient_gets_one_row_with_every_column():
    out = assess_table(table_of("parallel", "diverging", "two_visits"), parameters=PARAMETERS)
    rows = rows_of(out)
    assert tuple(rows[0]) == ASSESSMENT_COLUMNS
    assert [row["patient_id"] for row in rows] == ["diverging", "parallel", "two_visits"]
    assert rows[0]["level"] == "watch"
    assert float(rows[0]["d_low"]) < float(rows[0]["d_percent_per_year"])
    short = rows[2]
    assert short["level"] == "insufficient"
    assert [short[c] for c in ASSESSMENT_COLUMNS[3:10]] == [""] * 7
    assert (short["n_brain"], short["n_cord"]) == ("2", "2")
    assert short["reason"].startswith("Needs 1 more usable cord scan")


def test_the_reason_names_the_line_that_fired_and_what_a_reader_must_know():
    out = assess_table(table_of("diverging", "scanner_change"), parameters=PARAMETERS)
    loud, moved = (row["reason"] for row in rows_of(out))
    assert loud.startswith("P(D < -1 %/yr) = 0.65 reached the watch line.")
    assert "Offset of epoch 1 poorly known (brain +- 4.9 %, cord +- 6.9 %)." in moved


def test_last_equals_the_last_row_of_every_visit():
    text = table_of("diverging", "one_outlier")
    last = rows_of(assess_table(text, parameters=PARAMETERS))
    every = rows_of(assess_table(text, parameters=PARAMETERS, as_of=AsOf.EVERY_VISIT))
    assert len(every) == 14
    assert last == [every[6], every[13]]


def test_shuffled_rows_give_the_same_bytes():
    header, *lines = table_of("diverging", "scanner_change", "brain_only").splitlines()
    random.Random(3).shuffle(lines)
    shuffled = "\n".join([header, *lines])
    original = table_of("diverging", "scanner_change", "brain_only")
    assert assess_table(shuffled, parameters=PARAMETERS) == assess_table(
        original, parameters=PARAMETERS
    )


def test_other_units_give_the_same_bytes():
    lines = table_of("diverging").splitlines()
    litres = [lines[0]]
    for line in lines[1:]:
        cells = line.split(",")
        cells[3] = repr(float(cells[3]) / 1000)
        litres.append(",".join(cells))
    assert assess_table("\n".join(litres), parameters=PARAMETERS) == assess_table(
        "\n".join(lines), parameters=PARAMETERS
    )


def test_added_rejected_scans_give_the_same_bytes():
    text = table_of("diverging")
    more = text + "diverging,2031-01-01,cord,12.5,Z,rejected\n"
    every = AsOf.EVERY_VISIT
    assert assess_table(more, parameters=PARAMETERS, as_of=every) == assess_table(
        text, parameters=PARAMETERS, as_of=every
    )


def test_a_patient_whose_every_scan_is_rejected_has_a_row_in_words():
    text = f"{HEADER}\nP1,2020-01-01,cord,70,A,rejected\n"
    (row,) = rows_of(assess_table(text, parameters=PARAMETERS))
    assert (row["as_of"], row["level"]) == ("2020-01-01", "insufficient")
    assert row["reason"].startswith("No usable scan.")


def test_events_are_used_and_strangers_among_them_ignored():
    text = table_of("parallel")
    events = (
        "patient_id,date,event\nparallel,2012-03-01,therapy_start\nghost,2012-01-01,relapse\n"
    )
    plain = assess_table(text, parameters=PARAMETERS)
    assert assess_table(text, events=events, parameters=PARAMETERS) != plain


def test_blanks_byte_order_mark_further_columns_and_windows_lines_are_tolerated():
    lines = table_of("parallel").splitlines()
    odd = "\ufeff" + "\r\n".join(f" {line} ,extra" for line in lines) + "\r\n\r\n"
    assert assess_table(odd, parameters=PARAMETERS) == assess_table(
        table_of("parallel"), parameters=PARAMETERS
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("P,2020-01-01,cord,0,A,good", "line 2: The cord value on 2020-01-01 is 0;"),
        ("P,2020-01-01,cord,-3,A,good", "positive number"),
        ("P,2020-01-01,cord,nan,A,good", "not a finite number"),
        ("P,2020-01-01,cord,inf,A,good", "not a finite number"),
        ("P,2020-01-01,cord,1_0,A,good", "not a finite number"),
        ("P,2020-01-01,cord,,A,good", "not a number"),
        ("P,2020-01-01,cord,seventy,A,good", "not a number"),
        ("P,2020-01-01,spine,70,A,good", "region 'spine' is none of brain, cord"),
        (
            "P,2020-01-01,cord,70,A,great",
            "quality 'great' is none of good, fair, poor, rejected",
        ),
        ("P,2020-02-30,cord,70,A,good", "'2020-02-30' is not a date"),
        ("P,20200101,cord,70,A,good", "is not a date"),
        ("P,0001-03-01,cord,70,A,good", "'0001-03-01' is not a date (YYYY-MM-DD, from 1900)"),
        ("P,2914-03-01,cord,70,A,good", "is not a date"),
        ("P,2020-01-01,cord,70, ,good", "epoch is empty; name the scanner"),
        ('P,2020-01-01,cord,"70,5",A,good', "value '70,5' is not a number"),
        ("P,2020-01-01,cord,70,5,A,good", "7 cells where the header names 6"),
        ("P,01.02.2020,cord,70,A,good", "is not a date"),
        (",2020-01-01,cord,70,A,good", "patient_id is empty"),
        ("P,2020-01-01,cord,70,A", "5 cells where the header names 6"),
        ("P,2020-01-01,cord,-1,A,rejected", "positive number"),
    ],
)
def test_a_bad_row_is_refused_in_one_sentence_that_names_the_line(row, words):
    with pytest.raises(InvalidTable) as caught:
        assess_table(f"{HEADER}\n{row}\n", parameters=PARAMETERS)
    assert words in str(caught.value)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "are empty"),
        (f"{HEADER}\n", "hold no row"),
        ("patient_id,date,region,value,quality\n", "lack the column epoch"),
        (f"{HEADER},epoch\n", "name the column epoch twice"),
        (HEADER.replace(",", ";"), "separated by semicolons: separate the columns by commas"),
        (HEADER.replace(",", "\t"), "separated by tabulators"),
        ("\0\0", "not a text table"),
        (f'{HEADER}\n"P', "unexpected end of data"),
    ],
)
def test_a_bad_table_is_refused(text, words):
    with pytest.raises(InvalidTable, match=words):
        assess_table(text, parameters=PARAMETERS)


def test_a_bad_event_is_refused():
    with pytest.raises(InvalidTable, match="event 'party' is none of therapy_start, relapse"):
        assess_table(
            table_of("parallel"),
            events="patient_id,date,event\nparallel,2020-01-01,party\n",
            parameters=PARAMETERS,
        )


def test_parameters_survive_their_file():
    again = Parameters.from_json(PARAMETERS.to_json())
    assert again == PARAMETERS
    assert again.digest() == PARAMETERS.digest()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"model_version": "cpb-1"', '"model_version": "cpb-9"', "for model 'cpb-9'"),
        ('"correlation": 0.3', '"correlation": 1.0', "between -1 and 1"),
        ('"nu": 5.0', '"nu": 0', "nu must be positive"),
        ('"kappa_sd": 0.6', '"kappa_sd": null', "kappa_sd must be a finite number, not None"),
        ('"anchor": "own"', '"anchor": "moon"', "own or cohort"),
        ('"names": []', '"names": ["A"]', "Every epoch needs"),
        ('"badge": "literature defaults",', "", "lacks 'badge'"),
        ('"p_from_onset": 0.05', '"p_from_onset": 1.5', "must be probabilities"),
        ('"hazard_per_year": 0.02', '"hazard_per_year": -1', "must be probabilities"),
        ('"flag_p_change": 0.6', '"flag_p_change": 0.2', "not above its flag line"),
        ('"rate_per_year": 0.02', '"rate_per_year": -1', "steps must be"),
        ('"hysteresis": 0.1', '"hysteresis": 0.5', "smaller than every watch line"),
        ('"minimum_cord_scans": 3', '"minimum_cord_scans": 1', "at least 2"),
        ('"time_constant_years": 0.4', '"time_constant_years": NaN', "must be positive"),
        ('"steps":', '"step":', "names unknown step"),
        ('"kappa_sd": 0.6', '"kappa_sd": 0', "must be positive"),
        ('"p_from_onset": 0.05', '"p_from_onset": 0.99', "add up to 1 or more"),
        ('"grid_end_years": 15.0', '"grid_end_years": 1e7', "or after 1000 steps"),
        ('"rounds": 4', '"rounds": 2.5', "rounds must be a whole number, not 2.5"),
        ('"rounds": 4', '"rounds": -1', "must not be negative"),
        ('"outlier_weight": 0.4', '"outlier_weight": "x"', "outlier_weight must be a finite"),
        ('"minimum_cord_scans": 3', '"minimum_cord_scans": 2.5', "must be a whole number"),
        ('"minimum_cord_scans": 3', '"minimum_cord_scans": true', "must be a whole number"),
        ("{", "", "not JSON"),
    ],
)
def test_parameters_that_describe_no_distribution_are_refused(old, new, words):
    text = PARAMETERS.to_json()
    assert old in text
    with pytest.raises(InvalidParameters, match=words):
        Parameters.from_json(text.replace(old, new, 1))
