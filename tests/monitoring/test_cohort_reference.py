"""The command that checks a reference, and the page that refuses what it cannot compare."""

import io

import pytest
from django.core.management import CommandError, call_command

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import Definition
from monitoring.services.cohorts import references_load
from tests.monitoring.core.cohort.test_selection import cohort


@pytest.mark.realdata
def test_the_command_says_what_each_real_table_holds(realdata):
    said = io.StringIO()

    call_command("cohort_reference", *sorted((realdata / "tables").glob("*.?sv")), stdout=said)

    lines = said.getvalue().splitlines()
    assert "cord_csa_by_session.csv:" in lines
    assert sum("C2–C3, sct, T1-weighted" in line for line in lines) == 1
    assert sum("refused" in line for line in lines) == 3


@pytest.mark.realdata
def test_a_table_named_in_the_settings_reaches_the_page(realdata, settings):
    settings.COHORT_REFERENCE = str(realdata / "tables" / "cord_csa_by_session.csv")

    result = analyse(cohort(), Definition(), references=references_load)

    room = next(one for one in result["rooms"] if one["slug"] == "reference")
    assert "synthetic-cord" in room["answer"]
    assert "not compared" in room["answer"]
    assert len(room["tables"][1]["rows"]) > 50


def test_a_missing_table_is_said_in_its_room_and_the_others_stay(settings, tmp_path):
    settings.COHORT_REFERENCE = str(tmp_path / "gone.csv")

    rooms = analyse(cohort(), Definition(), references=references_load)["rooms"]

    assert "“gone.csv” cannot be read" in rooms[-1]["answer"]
    assert rooms[0]["verdict"] == "described"
    with pytest.raises(CommandError, match="No table"):
        call_command("cohort_reference", tmp_path / "gone.csv", stdout=io.StringIO())


def test_without_a_table_the_command_says_what_to_do(settings):
    settings.COHORT_REFERENCE = ""
    with pytest.raises(CommandError, match="Name a table"):
        call_command("cohort_reference")
