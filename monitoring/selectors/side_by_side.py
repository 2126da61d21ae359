"""Ask the database several large questions at once."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, transaction

AT_ONCE = 2
"""One question is read while the database looks for the other's answer."""


def side_by_side(questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return the answers by name; on PostgreSQL asked on connections of their own.

    Inside a transaction of the caller, which another connection cannot see, and on other
    databases they are asked one after another.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return {name: ask() for name, ask in questions.items()}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reading") as pool:
        asked = {name: pool.submit(_ask, ask) for name, ask in questions.items()}
        return {name: answer.result() for name, answer in asked.items()}


def _ask(question: Callable[[], Any]) -> Any:
    """Ask one question in this thread, whose connection ends with it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Every row will be read: PostgreSQL plans a cursor for its first tenth, which made
            # the large questions take twice as long (benchmarks/cohort_scale).
            cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
            # Half a million groups fit into memory; with the server's 4 MB they go to disk.
            cursor.execute("SET LOCAL work_mem = '128MB'")
            return question()
    finally:
        connection.close()
