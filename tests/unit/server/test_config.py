import pytest

from crdtsync.errors import UsageError
from crdtsync_server.config import RelayConfig, environment_variable, flag


def test_a_setting_has_a_flag_and_an_environment_variable_after_its_name():
    assert flag("ping_interval_s") == "--ping-interval-s"
    assert environment_variable("ping_interval_s") == "CRDTSYNC_RELAY_PING_INTERVAL_S"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"port": -1}, "--port is -1; at least 0"),
        ({"port": 65_536}, "ports end at 65535"),
        ({"connections_max": 0}, "--connections-max is 0; at least 1"),
        ({"request_timeout_s": 0}, "--request-timeout-s is 0; at least 0.05"),
        ({"request_timeout_s": float("nan")}, "--request-timeout-s is nan; at least 0.05"),
        ({"tls_cert": "cert.pem"}, "--tls-cert and --tls-key go together"),
        ({"log_format": "xml"}, "--log-format is 'xml'; it can be auto, json, text"),
        ({"log_level": "loud"}, "--log-level is 'loud'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_opened(tmp_path, setting, told):
    with pytest.raises(UsageError, match=told):
        RelayConfig(data=tmp_path, **setting)
