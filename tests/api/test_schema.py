"""The OpenAPI document: complete, without warnings, equal to the committed one."""

import json
from pathlib import Path

import pytest
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
UNDOCUMENTED = {"api_schema", "api_docs", "api_nowhere"}


@pytest.fixture(scope="module")
def schema() -> dict:
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        document = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS, "the generator warned"
    return json.loads(json.dumps(document))


def test_the_document_is_valid_openapi(schema):
    validate_schema(schema)


def test_the_committed_document_is_the_one_that_is_served(schema):
    assert json.loads(COMMITTED.read_text()) == schema, (
        "Run: python manage.py spectacular --format openapi-json --file docs/openapi.json"
    )


def test_the_document_says_what_the_software_is_for(schema):
    assert schema["info"]["x-intended-use"].startswith("Research use only")


def test_every_address_of_the_api_is_in_the_document(schema):
    names = {
        name
        for name in get_resolver().reverse_dict
        if isinstance(name, str) and name.startswith("api_")
    }
    assert len(schema["paths"]) == len(names - UNDOCUMENTED)


def test_every_operation_names_its_refusals_and_asks_for_a_token(schema):
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert {"401", "403", "429"} <= set(operation["responses"]), path
            assert operation["security"] == [{"clinicToken": []}], path
            assert operation["description"], path


def test_every_answer_carries_the_intended_use_and_the_synthetic_mark(schema):
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            good = next(v for k, v in operation["responses"].items() if k.startswith("2"))
            reference = good["content"]["application/json"]["schema"]["$ref"]
            fields = schema["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]
            assert {"intended_use", "is_synthetic"} <= set(fields), path


def test_the_document_is_served_without_a_token(client, db):
    answer = client.get("/api/v1/schema/")

    assert answer.status_code == 200
    assert answer.json()["info"]["title"] == "Neuraxis"
