"""The command `fit_reference`: its file is what `assess --parameters` takes."""

from datetime import date, timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from monitoring.core.parameter_set import Parameters
from monitoring.core.profiles import PROFILES
from monitoring.core.simulation import simulate_cohort

WORDS = ("good", "fair", "poor")


@pytest.fixture
def observations(tmp_path):
    lines = ["patient_id,date,region,value,epoch,quality"]
    cohort = simulate_cohort(PROFILES["base"], patients=40, rng=np.random.default_rng(2))
    for number, one in enumerate(cohort):
        series = one.series
        for row in range(series.years.size):
            when = date(2005, 1, 1) + timedelta(days=round(series.years[row] * 365.25))
            region, start = (("brain", 1.1e6), ("cord", 70.0))[series.region[row]]
            value = start * np.exp(series.y[row] / 100)
            word = WORDS[series.quality[row]]
            lines.append(f"P{number},{when},{region},{value:.8g},{series.epochs[row]},{word}")
    path = tmp_path / "observations.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_fitted_file_feeds_assess(observations, tmp_path, capsys):
    out, assessed = tmp_path / "own.json", tmp_path / "assessed.csv"
    call_command("fit_reference", observations, "--out", out)
    printed = capsys.readouterr().out
    assert "cord mean slope" in printed
    assert "widened" in printed
    parameters = Parameters.from_json(out.read_text())
    assert parameters.id.startswith("own-")
    assert parameters.epochs.names
    call_command("assess", observations, "--out", assessed, "--parameters", out)
    assert len(assessed.read_text().splitlines()) == 41


def test_the_same_table_gives_the_same_file(observations, tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    call_command("fit_reference", observations, "--out", first)
    call_command("fit_reference", observations, "--out", second)
    assert first.read_bytes() == second.read_bytes()


def test_too_few_patients_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("patient_id,date,region,value,epoch,quality\nP,2020-01-01,cord,70,A,good\n")
    with pytest.raises(CommandError, match="at least 20 patients"):
        call_command("fit_reference", path, "--out", tmp_path / "out.json")
