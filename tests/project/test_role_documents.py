"""docs/roles.md says what the code does."""

import re
from pathlib import Path

from monitoring.models import ROLE_GRANTS, Grant, Role

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "roles.md"


def test_the_table_of_roles_is_the_one_of_the_code():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)
    ]
    header, table = rows[0], rows[1:]

    assert header[1:] == [role.label for role in Role]
    assert {row[0]: row[1:] for row in table} == {
        grant.label[0].upper() + grant.label[1:]: [
            "yes" if grant in ROLE_GRANTS[role] else "" for role in Role
        ]
        for grant in Grant
    }
