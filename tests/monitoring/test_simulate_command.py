"""The command `simulate`: its folder is what `fit_reference` and `assess` take."""

import pytest
from django.core.management import CommandError, call_command

from monitoring.core.profiles import PROFILES
from monitoring.core.simulated_tables import simulated_tables


def test_the_folder_feeds_refit_and_assessment(tmp_path, capsys):
    folder = tmp_path / "clinic"
    wanted = {"patients": 30, "reference": 40, "seed": 5}
    call_command("simulate", "reg", "--out", folder, **wanted)

    assert "reg, unlike base: error_sd (0.3, 0.8)" in capsys.readouterr().out
    found = simulated_tables(PROFILES["reg"], **wanted)
    assert (folder / "truth.csv").read_text() == found.truth
    own, assessed = folder / "own.json", folder / "assessed.csv"
    events = folder / "events.csv"
    call_command("fit_reference", folder / "reference.csv", "--events", events, "--out", own)
    call_command(
        "assess", folder / "observations.csv", "--events", events, "--parameters", own,
        "--as-of", "every-visit", "--out", assessed,
    )  # fmt: skip
    assert len(assessed.read_text().splitlines()) == len(found.truth.splitlines())


def test_without_a_reference_no_file_of_it_is_written(tmp_path):
    folder = tmp_path / "clinic"
    call_command("simulate", "base", "--out", folder, "--patients", "3", "--seed", "1")
    written = {one.name for one in folder.iterdir()}
    assert written == {"observations.csv", "events.csv", "truth.csv"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mild", "--seed", "1"], "invalid choice: 'mild'"),
        (["base", "--seed", "-1"], "not negative"),
        (["base", "--seed", "1", "--patients", "0"], "at least one patient"),
        (["base", "--seed", "1", "--reference", "-4"], "not negative"),
        (["base"], "--seed"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_a_sentence(tmp_path, words, said):
    with pytest.raises(CommandError, match=said):
        call_command("simulate", *words, "--out", tmp_path / "clinic")
    assert not (tmp_path / "clinic").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(CommandError, match="cannot be made"):
        call_command("simulate", "base", "--patients", "2", "--seed", "1", "--out", taken)
