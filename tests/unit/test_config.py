from pathlib import Path

import pytest

from crdtsync.config import RegisterConfig
from crdtsync.errors import UsageError

DATA = Path("till-1")


def test_without_an_environment_everything_has_its_default():
    assert RegisterConfig.from_environment(DATA, {}) == RegisterConfig(DATA)


def test_the_environment_sets_what_it_names():
    config = RegisterConfig.from_environment(
        DATA,
        {
            "CRDTSYNC_OPERATOR": "u-lea",
            "CRDTSYNC_DAY_STARTS": "5:30",
            "CRDTSYNC_SYNC_TIMEOUT_S": "0.5",
            "CRDTSYNC_TLS_CA": "ca.pem",
        },
    )
    assert config == RegisterConfig(DATA, "u-lea", 330, 0.5, "ca.pem")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRDTSYNC_DAY_STARTS", "four"),
        ("CRDTSYNC_DAY_STARTS", "24:00"),
        ("CRDTSYNC_DAY_STARTS", "4:60"),
        ("CRDTSYNC_SYNC_TIMEOUT_S", "soon"),
        ("CRDTSYNC_SYNC_TIMEOUT_S", "0"),
        ("CRDTSYNC_SYNC_TIMEOUT_S", "nan"),
        ("CRDTSYNC_OPERATOR", ""),
        ("CRDTSYNC_OPERATOR", "x" * 65),
        ("CRDTSYNC_OPERATOR", "two\nlines"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(UsageError):
        RegisterConfig.from_environment(DATA, {name: value})
