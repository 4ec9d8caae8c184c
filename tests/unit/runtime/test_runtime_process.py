import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

PRELUDE = """
    import asyncio, sys
    from osm.runtime import logging as logs
    from osm.runtime.process import run_until_stopped, serve
    from osm.runtime.service import ServiceFailed
    from osm.runtime.settings import Common
"""


@pytest.fixture
def start():
    """Start Python code in a process of its own; it is gone afterwards."""
    started = []

    def begin(code, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(path for path in sys.path if path)} | environment,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


WORKS = """
    async def work():
        try:
            print("up", flush=True)
            await asyncio.Event().wait()
        finally:
            print("closed", flush=True)

    logs.set_up("info")
    run_until_stopped(work)
    print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(start, number):
    process = start(WORKS)
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    out, _ = process.communicate()
    assert out == "closed\nended\n"
    assert process.returncode == 0


def test_an_end_that_hangs_is_forced(start):
    process = start("""
        from osm.runtime import process
        process.END_WITHIN_S = 0.2

        async def work():
            try:
                print("up", flush=True)
                await asyncio.Event().wait()
            finally:
                import time
                time.sleep(3600)

        run_until_stopped(work)
    """)
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 1


def test_a_second_signal_ends_at_once(start):
    process = start("""
        from osm.runtime import process
        process.END_WITHIN_S = 3600
        logs.set_up("info")

        async def work():
            try:
                print("up", flush=True)
                await asyncio.Event().wait()
            finally:
                print("ending", flush=True)
                await asyncio.sleep(3600)

        run_until_stopped(work)
    """)
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.stdout.readline() == "ending\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 1


def test_work_that_fails_raises_its_own_error(start):
    process = start("""
        async def work():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())

        async def fail():
            raise LookupError("no root")

        try:
            run_until_stopped(work)
        except LookupError as error:
            print(error)
    """)
    assert process.communicate()[0] == "no root\n"


SERVE = """
    async def run(bus, settings, health):
        raise LookupError("no root")

    serve("certmgr", run, Common)
"""


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"OSM_LOG_LEVEL": "loud"}, "osm certmgr: OSM_LOG_LEVEL: found 'loud'"),
        ({}, "osm certmgr: OSM_BUS: found memory:"),
        ({"OSM_NATS_REPLICAS": "many"}, "osm certmgr: OSM_NATS_REPLICAS: found 'many'"),
        ({"OSM_BUS": "nats://127.0.0.1:1", "OSM_HTTP": "nowhere"}, "osm certmgr: OSM_HTTP: found 'nowhere'"),
        ({"OSM_BUS": "nats://127.0.0.1:1", "OSM_OTLP_ENDPOINT": "http://x"}, "osm certmgr: OSM_OTLP_ENDPOINT"),
    ],
)
def test_a_wrong_setting_is_one_line_and_code_2(start, environment, sentence):
    process = start(SERVE, **environment)
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_a_bus_of_an_unknown_form_is_one_line_and_code_1(start):
    process = start(SERVE, OSM_BUS="kafka://here")
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith("osm certmgr: bus kafka://here: no such form of address")


def test_a_deposed_writer_ends_with_a_code_of_its_own_and_one_sentence(start):
    process = start(
        """
        from contextlib import asynccontextmanager
        from osm.bus import LeadershipLost
        from osm.bus.memory import MemoryCore
        from osm.runtime import process

        @asynccontextmanager
        async def connect(url, name, nats):
            yield MemoryCore().bus(name)

        async def run(bus, settings, health):
            raise LeadershipLost("bucket certmgr: certmgr is no longer its writer, another process has taken it over")

        process.connect = connect
        serve("certmgr", run, Common)
    """,
        OSM_BUS="nats://127.0.0.1:1",
    )
    _, err = process.communicate()
    assert process.returncode == 3
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("osm certmgr: bucket certmgr: certmgr is no longer its writer")


def test_who_waits_for_the_bus_says_so_on_its_page(start, tmp_path):
    page = tmp_path / "http.sock"
    start(SERVE, OSM_BUS="nats://127.0.0.1:1", OSM_HTTP=f"unix:{page}", OSM_NATS_UNSIGNED="true")
    with socket.socket(socket.AF_UNIX) as connection:
        while connection.connect_ex(str(page)):  # not made yet, or made and not listening yet
            time.sleep(0.05)
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        answer = connection.makefile().read()
    assert answer.startswith("HTTP/1.0 503 ")
    assert answer.endswith("\n\ncertmgr: starting, waiting for the bus\n")


def test_importing_the_runtime_sets_nothing_up(start):
    process = start("""
        import logging, structlog
        from opentelemetry import metrics, trace
        import osm.runtime.process
        print(structlog.is_configured(), logging.getLogger().handlers)
        print(type(trace.get_tracer_provider()).__module__, type(metrics.get_meter_provider()).__module__)
    """)
    out, _ = process.communicate()
    assert out.startswith("False []\n")
    assert "sdk" not in out
