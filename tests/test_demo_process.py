"""The demo as a program: how it starts, how it ends, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from examples.demo.launch import Settings
from examples.demo.provider import create_provider
from examples.demo.serving import LocalServer
from tests.demo_process import DemoProcess, Visitor, running_demo


def descendants(demo: DemoProcess) -> list[psutil.Process]:
    """Return the processes that the demo has started."""
    return psutil.Process(demo.process.pid).children(recursive=True)


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """Ctrl-C, which a terminal sends to the whole group, ends every process without a trace."""
    with running_demo("mongo", tmp_path) as demo:
        children = descendants(demo)
        assert children
        with closing(Visitor(demo.address("App"))) as ada:
            ada.connect("Ada", "Alice")
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.wait() == 0
    assert_no_trace(demo, children)


def assert_no_trace(demo: DemoProcess, children: list[psutil.Process]) -> None:
    """Check that a demo that has ended left no process, no file and no error message."""
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert list(demo.temporary.iterdir()) == []
    assert demo.output.rstrip().endswith("Stopped.")
    assert not {"Traceback", "Warning", "Error"} & set(demo.output.split())


def test_lost_server_signs_nobody_out(tmp_path: Path) -> None:
    """While the store does not answer, a page says so, and the visitor stays signed in.

    SIGTERM to the demo alone ends it all the same.
    """
    with running_demo("redis", tmp_path) as demo:
        with closing(Visitor(demo.address("App"))) as ada:
            ada.connect("Ada", "Alice")
            for server in descendants(demo):
                server.kill()
            ada.open(ada.home)
            assert ada.status == 503
            assert "does not answer" in ada.text
            assert ada.offers("Sign out")
        assert demo.stop(signal.SIGTERM) == 0
    assert_no_trace(demo, [])


def test_demo_takes_the_ports_it_is_given(tmp_path: Path) -> None:
    """PORT and PROVIDER_PORT decide where app and provider listen."""
    with LocalServer(create_provider()) as one, LocalServer(create_provider()) as two:
        ports = {"PORT": str(one.port), "PROVIDER_PORT": str(two.port)}
    with running_demo("session", tmp_path, **ports) as demo:
        assert demo.address("App") == f"{one.url}/"
        assert demo.address("Provider") == f"{two.url}/"
        assert descendants(demo) == []
        assert demo.stop(signal.SIGINT) == 0
    assert_no_trace(demo, [])


def test_taken_port_is_said_and_leaves_no_trace(tmp_path: Path) -> None:
    """If the app's port is taken, the demo says so and takes down what it has started."""
    with LocalServer(create_provider()) as other:
        demo = DemoProcess("redis", tmp_path, PORT=str(other.port))
        try:
            assert demo.wait() == 1
        finally:
            demo.end()
    assert f"Port {other.port} is in use" in demo.output
    assert "Traceback" not in demo.output
    assert list(demo.temporary.iterdir()) == []


def test_server_that_does_not_start_is_said_and_leaves_no_trace(tmp_path: Path) -> None:
    """If the database server can't run, the demo says so with the server's own words."""
    programs = tmp_path / "bin"
    programs.mkdir()
    broken = programs / "redis-server"
    broken.write_text("#!/bin/sh\necho out of order\nexit 3\n")
    broken.chmod(0o755)
    demo = DemoProcess("redis", tmp_path, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert demo.wait() == 1
    assert demo.output == f"demo: {broken} did not start:\nout of order\n\n"
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (
            {"BACKEND": "cassandra"},
            "BACKEND=cassandra is unknown. Choose one of: mongo, redis, sqla, file, session.",
        ),
        ({"PORT": "http"}, "PORT=http is not a port number."),
        ({"PROVIDER_PORT": "65536"}, "PROVIDER_PORT=65536 is not a port number."),
        ({"TOKEN_SECONDS": "0"}, "TOKEN_SECONDS=0 is not a number of seconds."),
    ],
)
def test_wrong_settings_are_named(
    environment: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that makes no sense is named in one line."""
    monkeypatch.setenv("BACKEND", "sqla")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as raised:
        Settings.from_environment()
    assert str(raised.value) == complaint


def test_wrong_settings_end_the_demo(tmp_path: Path) -> None:
    """The complaint is all that it writes, and its exit code is 2."""
    demo = DemoProcess("cassandra", tmp_path)
    assert demo.wait() == 2
    assert demo.output.startswith("demo: BACKEND=cassandra is unknown.")
    assert demo.output.count("\n") == 1
