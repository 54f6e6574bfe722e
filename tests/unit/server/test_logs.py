import io
import json
import logging
import subprocess
import sys

import pytest

from crdtsync_server.serving.logs import configure_logging, get_logger

CODE = "000GC-40R4Y-0M301-E209M-Q7XJ9-6CJ51-SBQN7-PYDVX"


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def logged(log_format, log_level="info"):
    stream = io.StringIO()
    configure_logging(log_format=log_format, log_level=log_level, stream=stream)
    return stream


def test_an_event_is_one_json_object_with_its_facts():
    stream = logged("json")
    get_logger().info("device_enrolled", shop=b"\x01\x02", role="register")
    event = json.loads(stream.getvalue())
    assert event.pop("at").endswith("Z")
    assert event == {"event": "device_enrolled", "level": "info", "shop": "0102", "role": "register"}


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_pairing_code_is_never_logged(log_format):
    stream = logged(log_format)
    get_logger().warning("refused", code="ABCD", reason=f"cannot read {CODE}", again=CODE.lower())
    assert "ABCD" not in stream.getvalue()
    assert CODE[6:11] not in stream.getvalue().upper()


def test_a_device_cannot_write_to_the_terminal_by_its_name():
    stream = logged("text")
    get_logger().info("device_enrolled", name="till\x1b[2J\nforged line")
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_defect_is_logged_with_its_traceback():
    stream = logged("json")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        get_logger().exception("connection_failed")
    assert "RuntimeError: broken" in json.loads(stream.getvalue())["exception"]


def test_warnings_of_libraries_are_events_too():
    stream = logged("json")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert json.loads(stream.getvalue())["source"] == "uvicorn.error"


def test_what_is_below_the_level_is_not_logged():
    stream = logged("json", "warning")
    get_logger().info("relay_ready")
    assert stream.getvalue() == ""


def test_logs_take_no_memory_for_colours_that_nobody_sees():
    """The library imports what it finds: rich for errors, greenlet for threads of another sort."""
    said = subprocess.run(
        [sys.executable, "-c", "import sys, crdtsync_server.serving.logs; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert "structlog" in said
    assert not {"rich", "greenlet"} & set(said)
