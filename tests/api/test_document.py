"""The client in docs/api.md works as it stands there."""

import re
from pathlib import Path

from monitoring.models import Role
from tests.api.conftest import token_make
from tests.factories.record import clinic_make, patient_make

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_documented_client_pulls_every_page(live_server):
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict = {}
    exec(source, names)
    clinic = clinic_make("Vltava")
    for _ in range(101):
        patient_make(clinic)
    _, token = token_make(clinic, Role.DATA_MANAGER)

    pages = list(names["pull"](live_server.url, token, "patients"))
    since = pages[-1]["next_updated_since"].replace("+00:00", "Z")
    again = list(names["pull"](live_server.url, token, "patients", since))

    assert [len(page["results"]) for page in pages] == [100, 1]
    assert sum(len(page["results"]) for page in again) == 101
