"""The processes of a demo: a web server and a worker per queue, started and ended together."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"  # the passwords are public: nobody else's machine may reach the demo
PATIENCE_SECONDS = 8.0
WORKER_GIGABYTES = 1.7  # what one measurement may take (docs/brain.md)
# Each measurement has one core: more threads would only make two of them wait for each other.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}


class PortTaken(RuntimeError):
    """Another program listens where the demo should."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that the demo started, in a group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def port_check(port: int) -> None:
    """Refuse a port that is taken or may not be used.

    Raises
    ------
    PortTaken
        With the way out.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise PortTaken(
                f"Port {port} cannot be used (is another program listening there?). "
                f"Choose another one: PORT={8000 if port != 8000 else 8001} make demo"
            ) from error


def concurrency() -> int:
    """Return how many scans to measure at once: two if cores and memory allow it."""
    memory_gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 1e9
    allowed = min(os.cpu_count() or 1, int(memory_gigabytes // WORKER_GIGABYTES), 2)
    return max(1, allowed)


def web_start(port: int, *, logs: Path) -> Child:
    """Start the web server."""
    return _start(
        "web",
        ["gunicorn", "--bind", f"{HOST}:{port}", "--workers", "2", "--threads", "2",
         "--worker-class", "gthread", "--preload", "--timeout", "120", "--log-level", "warning",
         "monitoring.wsgi:application"],
        logs=logs,
    )  # fmt: skip


def workers_start(*, logs: Path) -> list[Child]:
    """Start one worker per queue: a statement must not wait behind minutes of measuring.

    The clock that drives the sweeps is part of the worker that never measures.
    """
    return [
        _worker_start("measuring", ["-Q", "volumetry", "-c", str(concurrency())], logs=logs),
        _worker_start("concluding", ["-Q", "default", "-c", "1", "-B"], logs=logs),
    ]


def _worker_start(name: str, which: list[str], *, logs: Path) -> Child:
    """Start a worker; its name keeps it apart from the other on this machine."""
    return _start(
        f"worker-{name}",
        ["celery", "-A", "monitoring", "worker", *which, "-n", f"{name}@demo",
         "--without-gossip", "--without-mingle", "--without-heartbeat",
         "--loglevel", "WARNING"],
        logs=logs,
    )  # fmt: skip


def _start(name: str, command: list[str], *, logs: Path) -> Child:
    """Start a program of this environment, its words going to a log file."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    program, *arguments = command
    # As a module of this interpreter: the environment need not be on the PATH.
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 (our own words only)
            [sys.executable, "-m", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ONE_THREAD},
            start_new_session=True,
        )
    return Child(name, process, log)


def children_end(children: list[Child], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """End every process: ask, wait a little, then end the whole group for certain."""
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    for child in children:
        try:
            child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
    for child in children:
        try:
            # Grandchildren too: a measurement that is cut off is taken up at the next start.
            os.killpg(child.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for child in children:
        child.process.wait()
