"""The command `assess`: thin, quiet, and without a database."""

import pytest
from django.core.management import CommandError, call_command

from monitoring.core.assessing import AsOf, assess_table
from monitoring.core.parameter_set import literature_defaults
from tests.monitoring.core.test_assessing import table_of


@pytest.fixture
def observations(tmp_path):
    path = tmp_path / "observations.csv"
    path.write_text(table_of("diverging", "two_visits"), encoding="utf-8")
    return path


def test_the_command_writes_what_the_core_says_and_asks_no_database(observations, tmp_path):
    # Without the django_db mark, pytest-django refuses any database access.
    out = tmp_path / "assessments.csv"
    call_command("assess", observations, "--out", out, "--as-of", "every-visit")
    assert out.read_text(encoding="utf-8") == assess_table(
        observations.read_text(encoding="utf-8"),
        parameters=literature_defaults(),
        as_of=AsOf.EVERY_VISIT,
    )


def test_the_command_takes_events_and_parameters(observations, tmp_path):
    events, parameters = tmp_path / "events.csv", tmp_path / "parameters.json"
    events.write_text("patient_id,date,event\ndiverging,2012-03-01,therapy_start\n")
    parameters.write_text(literature_defaults().to_json())
    out, plain = tmp_path / "a.csv", tmp_path / "b.csv"
    call_command(
        "assess", observations, "--out", out, "--events", events, "--parameters", parameters
    )
    call_command("assess", observations, "--out", plain)
    assert out.read_text() != plain.read_text()


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(CommandError, match=r"cannot be read: No such file or directory\."):
        call_command("assess", tmp_path / "none.csv", "--out", tmp_path / "out.csv")


def test_a_refused_table_writes_nothing(tmp_path):
    bad, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    bad.write_text("patient_id,date,region,value,epoch,quality\nP,2020-01-01,cord,0,A,good\n")
    with pytest.raises(CommandError, match="line 2: The cord value"):
        call_command("assess", bad, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "patient_id\nMüller\n".encode("cp1252")])
def test_a_file_in_another_encoding_is_refused(tmp_path, content):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(content)
    with pytest.raises(CommandError, match="not UTF-8 text"):
        call_command("assess", bad, "--out", tmp_path / "out.csv")
