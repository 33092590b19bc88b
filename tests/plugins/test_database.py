import pytest

from tests.plugins.database import choose

POSTGRES = "postgres://user@host/name"


@pytest.mark.parametrize(
    ("wanted", "url", "choice"),
    [
        ("", "", "sqlite"),
        ("", POSTGRES, "keep"),
        ("", "sqlite:///file", "keep"),
        ("sqlite", "", "sqlite"),
        ("sqlite", POSTGRES, "sqlite"),
        ("postgres", "", "postgres"),
        ("postgres", POSTGRES, "keep"),
        ("postgres", "postgresql://host/name", "keep"),
    ],
)
def test_choice_of_the_database(wanted, url, choice):
    assert choose({"TEST_DATABASE": wanted, "DATABASE_URL": url}) == choice


@pytest.mark.parametrize(("wanted", "url"), [("mysql", ""), ("postgres", "sqlite:///file")])
def test_a_wrong_choice_is_refused_and_names_the_value(wanted, url):
    with pytest.raises(pytest.UsageError, match=r"mysql|sqlite"):
        choose({"TEST_DATABASE": wanted, "DATABASE_URL": url})
