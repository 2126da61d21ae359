"""Servers that some tests need; absent ones skip the test, and say so."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

POSTGRES = os.environ.get("NEURAXIS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432")
BROKERS = {
    "redis": os.environ.get("NEURAXIS_TEST_REDIS", "redis://127.0.0.1:6379/9"),
    "rabbitmq": os.environ.get("NEURAXIS_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672"),
}
PORTS = {"redis": 6379, "rabbitmq": 5672}


def broker_url(name: str) -> str:
    """Return the address of a broker, or skip; each test gets an empty one."""
    try:
        socket.create_connection(("127.0.0.1", PORTS[name]), timeout=2).close()
    except OSError:
        pytest.skip(f"no {name} server is running")
    if name == "redis":
        import redis

        redis.Redis.from_url(BROKERS[name]).flushdb()
        return BROKERS[name]
    return BROKERS[name] + "//"


@contextmanager
def postgres_database() -> Iterator[str]:
    """Yield the address of a new, empty database, or skip."""
    name = f"neuraxis_test_{uuid4().hex[:12]}"
    try:
        admin = psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL server is running")
    with admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{POSTGRES}/{name}"
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
