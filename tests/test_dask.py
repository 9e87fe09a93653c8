"""A real Dask cluster of processes: the bits of this process while workers die and come, the scheduler and the driver too."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_store import wait_for

from fastgrad.numerical import blocks, numerical_gradient
from fastgrad.numerical.work import parcel
from fastgrad.reading import modelfile
from fastgrad.teaching import demo
from fastgrad_cli.main import main

from works import bits, network, results

pytestmark = [
    pytest.mark.extra("distributed", "cryptography"),
    pytest.mark.filterwarnings("ignore"),  # of Dask's own, about versions and ports
]
HERE = Path(__file__).parent
QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Cut work into blocks so short that a small network has many."""
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-12)


def of_many_blocks():
    """Return a network of some hundred blocks by method parameter, and its bits."""
    problem = network(widths=(60, 90, 40, 5))
    return problem, bits(numerical_gradient(problem, method="parameter"))


@contextmanager
def cluster(workers=2):
    """Give a cluster of processes with a client."""
    from distributed import Client, LocalCluster

    said = {"host": "127.0.0.1", "dashboard_address": None, "memory_limit": None, "silence_logs": 50}
    said["preload"] = ["works_slowly"]
    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **said) as own, Client(own) as client:
        yield own, client


def test_the_bits_are_those_of_this_process_while_workers_are_killed_and_added(monkeypatch):
    problem, plain = of_many_blocks()
    with cluster() as (own, client):
        killed, added = [], []

        def disturb(done, total):
            if not killed and 4 * done >= total:
                killed.append(client.submit(os.getpid, pure=False).result())
                os.kill(killed[0], signal.SIGKILL)
            if not added and 2 * done >= total:
                added.append(own.scale(3))

        found = numerical_gradient(problem, method="parameter", executor=client.get_executor(), progress=disturb)
        assert bits(found) == plain
        assert killed
        assert added
        assert killed[0] not in client.run(os.getpid).values()
        # Workers that see no folder of ours are sent the network, once.
        monkeypatch.setattr(parcel.Parcel, "write", lambda self, folder: None)
        for method in ("preactivation", "textbook"):
            found = numerical_gradient(network("dropout"), method=method, executor=client.get_executor())
            assert bits(found) == bits(numerical_gradient(network("dropout"), method=method))


# A scheduler and workers of their own, as on a cluster.


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(*arguments):
    """Start one of Dask's own programs."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, **QUIET, "PYTHONPATH": path}, **quiet)


def start_scheduler(port):
    return start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0", "--no-show")


def start_worker(port):
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--preload", "works_slowly")
    return start("worker", f"tcp://127.0.0.1:{port}", *options)


@contextmanager
def processes():
    """Give a list of processes that end with the test."""
    running = []
    try:
        yield running
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def test_a_scheduler_that_is_started_again_loses_nothing():
    from distributed import Client

    problem, plain = of_many_blocks()
    port = free_port()
    with processes() as running:
        scheduler = start_scheduler(port)
        running += [scheduler, start_worker(port), start_worker(port)]
        with Client(f"tcp://127.0.0.1:{port}", timeout=120) as client:
            client.wait_for_workers(2, timeout=120)
            restarted = []

            def restart(done, total):
                if not restarted and 4 * done >= total:
                    scheduler.kill()
                    scheduler.wait()
                    restarted.extend([start_scheduler(port), start_worker(port)])
                    running.extend(restarted)

            found = numerical_gradient(problem, method="parameter", executor=client.get_executor(), progress=restart)
            assert bits(found) == plain
            assert restarted


DRIVER = """\
import sys
from distributed import Client
from fastgrad.numerical import blocks, numerical_gradient
import works
blocks.BLOCK_SECONDS = 1e-12
with Client(sys.argv[1], timeout=120) as client:
    problem = works.network(widths=(60, 90, 40, 5))
    numerical_gradient(problem, method="parameter", executor=client.get_executor(), store=sys.argv[2])
"""


def test_a_driver_that_is_killed_goes_on_from_its_store(tmp_path):
    from distributed import Client

    problem, plain = of_many_blocks()
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with processes() as running:
        running += [start_scheduler(port), start_worker(port), start_worker(port)]
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, address, str(tmp_path)], env={**os.environ, **QUIET, "PYTHONPATH": path}
        )
        running.append(driver)
        wait_for(lambda: len(results(tmp_path)) >= 8, driver)
        driver.kill()
        driver.wait()
        with Client(address, timeout=120) as client:
            found = numerical_gradient(problem, method="parameter", executor=client.get_executor(), store=tmp_path)
    assert bits(found) == plain
    assert 8 <= found.origin.kept < found.origin.parts == len(results(tmp_path))
    assert found.origin.damaged == ()


# The command.


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Put a demo's file into the folder at hand."""
    monkeypatch.chdir(tmp_path)
    arrays, description = demo.find("planted").build()
    modelfile.save_arrays("planted.npz", {**arrays, **description})


def test_the_command_starts_a_cluster_of_its_own(planted):
    command = [sys.executable, "-m", "fastgrad_cli", "check", "planted.npz", "-v", "--dask", "local:2", "--store", "parts"]
    with socket.socket() as taken:
        with suppress(OSError):  # somebody has Dask's usual port, this test or another program
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "made by the workers of a Dask cluster, with 1 thread for each task" in " ".join(ended.stdout.split())
    assert (ended.returncode, ended.stderr) == (1, "")
    assert len(results("parts")) > 0


def test_a_scheduler_that_does_not_answer_is_told_in_words(planted, monkeypatch):
    from fastgrad_cli import clusters

    monkeypatch.setattr(clusters, "CONNECTING", 0.3)
    ended = CliRunner().invoke(main, ["check", "planted.npz", "--dask", f"127.0.0.1:{free_port()}"])
    assert ended.exit_code == 2
    assert "--dask: no scheduler answers at 127.0.0.1:" in ended.output


@pytest.mark.parametrize("address", ["nonsense", "foo://there:1"])
def test_an_address_that_is_none_is_told_in_words_and_nothing_else(planted, address):
    command = [sys.executable, "-m", "fastgrad_cli", "check", "planted.npz", "--dask", address]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"Error: --dask: no scheduler answers at {address}: ")
