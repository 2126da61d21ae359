"""The demo's registry clinic gives the cohort page enough people to answer."""

import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import Definition
from monitoring.demo.registry_clinic import NAME, PEOPLE, registry_clinic_ensure
from monitoring.demo.seeding import demo_seed
from monitoring.demo.stories import Story
from monitoring.models import Clinic, Membership, Patient
from monitoring.selectors.cohort_data import cohort_of
from tests.project.test_demo import TODAY, demo_mode, silent  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def registry(demo_mode) -> Clinic:  # noqa: F811
    demo_seed(today=TODAY, say=silent)
    registry_clinic_ensure(today=TODAY, say=silent)
    return Clinic.objects.get(name=NAME)


def test_most_rooms_of_its_cohort_answer_and_all_say_that_nothing_is_real(registry):
    # Statements are computed later, by the model: that room has nothing here yet.
    result = analyse(cohort_of(registry), Definition())

    silent_rooms = {
        room["slug"] for room in result["rooms"] if room["verdict"] == "cannot be answered"
    }
    assert silent_rooms == {"verification", "reference"}
    assert result["is_synthetic"]
    assert "The data are synthetic." in result["methods"]
    assert "volumes" in result["rooms"][1]["figures"]


def test_it_is_made_once_marked_synthetic_and_read_by_the_researcher_alone(registry):
    people = Patient.objects.filter(clinic=registry)
    count = sum(number for _, _, number in PEOPLE)
    registry_clinic_ensure(today=TODAY, say=silent)

    assert people.count() == people.filter(is_synthetic=True).count() == count
    assert people.filter(story=Story.CONTROL.value, pseudonym__startswith="M-C").count() >= 40
    members = Membership.objects.filter(clinic=registry)
    assert list(members.values_list("user__username", "role")) == [("researcher", "researcher")]
