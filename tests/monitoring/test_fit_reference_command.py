"""The command `fit_reference`: its file is what `assess --parameters` takes."""

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from monitoring.core.norms import Norm, Sex
from monitoring.core.parameter_set import Parameters
from monitoring.core.profiles import PROFILES
from monitoring.core.simulated_tables import simulated_tables


@pytest.fixture
def observations(tmp_path):
    tables = simulated_tables(PROFILES["base"], patients=40, seed=2)
    path = tmp_path / "observations.csv"
    path.write_text(tables.observations)
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


@pytest.fixture
def controls(tmp_path):
    """Return a table of 44 controls of both sexes, 20 to 63 years old, two scans each."""
    columns = (
        "patient_id,date,region,value,epoch,quality,sex,birth_year,structure,method,contrast"
    )
    lines = [columns]
    rng = np.random.default_rng(4)
    for number in range(44):
        sex = ("female", "male")[number % 2]
        for year in (2012, 2015):
            for region, start, structure in (
                ("brain", 1.2e6, "brain_parenchyma"),
                ("cord", 75.0, "cord_pmj_64mm"),
            ):
                value = start * np.exp(rng.normal() * 0.05)
                how = f"{sex},{1992 - number},{structure},neuraxis 1.0,t1"
                lines.append(f"C{number},{year}-05-01,{region},{value:.8g},E1,good,{how}")
    path = tmp_path / "controls.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_controls_teach_offsets_and_give_norms_with_their_ages(
    observations, controls, tmp_path, capsys
):
    out, norms = tmp_path / "own.json", tmp_path / "norms.json"
    call_command(
        "fit_reference", observations, "--out", out, "--controls", controls, "--norms", norms
    )

    printed = capsys.readouterr().out
    assert "44 healthy controls" in printed
    assert "44 controls aged 20-63" in printed
    parameters = Parameters.from_json(out.read_text())
    assert dict(parameters.reference)["controls"] == "44"
    brain, cord = (Norm.from_document(one) for one in json.loads(norms.read_text()))
    assert (brain.facts.structure, cord.facts.structure) == (
        "brain_parenchyma",
        "cord_pmj_64mm",
    )
    # 44 controls with an SD of 5 %: the mean is known to 5 / sqrt(22) % of one sex.
    assert cord.expected(age=45, sex=Sex.FEMALE) == pytest.approx(75, rel=0.04)

    few = controls.with_name("few.csv")
    few.write_text("\n".join(controls.read_text().splitlines()[:81]) + "\n")
    call_command(
        "fit_reference", observations, "--out", out, "--controls", few, "--norms", norms
    )
    assert [one["refusal"] for one in json.loads(norms.read_text())] == [
        f"No {region} norm. A norm needs 40 healthy controls; there are 20."
        for region in ("brain", "cord")
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("female", "woman", "line 2: sex 'woman' is none of female, male"),
        ("1992", "92", "line 2: '92' is not a birth year"),
        (",t1", ",", "line 2: structure, method and contrast must be stated"),
        ("contrast", "kind", "lack the column contrast"),
    ],
)
def test_a_control_that_a_norm_cannot_use_is_refused(
    observations, controls, tmp_path, old, new, words
):
    controls.write_text(controls.read_text().replace(old, new, 1))
    out = tmp_path / "own.json"
    with pytest.raises(CommandError, match=words):
        call_command("fit_reference", observations, "--out", out, "--controls", controls)
    assert not out.exists()


def test_norms_without_controls_are_refused(observations, tmp_path):
    with pytest.raises(CommandError, match="needs --controls"):
        call_command(
            "fit_reference", observations, "--out", tmp_path / "a", "--norms", tmp_path / "b"
        )


def test_too_few_patients_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("patient_id,date,region,value,epoch,quality\nP,2020-01-01,cord,70,A,good\n")
    with pytest.raises(CommandError, match="at least 20 patients"):
        call_command("fit_reference", path, "--out", tmp_path / "out.json")


def test_values_in_another_unit_are_refused_by_name(observations, tmp_path):
    lines = observations.read_text().splitlines()
    for number, line in enumerate(lines):
        cells = line.split(",")
        if cells[0] in {"P0002", "P0007"} and cells[2] == "brain":
            lines[number] = ",".join([*cells[:3], f"{float(cells[3]) / 1000:.8g}", *cells[4:]])
    observations.write_text("\n".join(lines) + "\n")
    out = tmp_path / "own.json"
    with pytest.raises(CommandError, match="brain values of P0002, P0007 differ"):
        call_command("fit_reference", observations, "--out", out)
    assert not out.exists()
