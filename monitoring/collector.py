"""Python's collector of cyclic garbage in a process that answers pages.

It starts whenever 700 more objects were made than freed, and looks through old objects again
and again. A page of a long course makes tens of thousands at once, all of which live until the
answer is sent: of 60 ms of such a page 10 went into looking for garbage that was not there
(docs/measured.md). So it looks rarely, and between two answers.
"""

import gc
from importlib import import_module

from django.conf import settings
from django.core.signals import request_finished

# Objects made and not freed before the collector looks: what thirty pages of sixty scans leave
# in cycles (3 500 each, measured), some 20 MB, and a look of 60 to 80 ms.
YOUNG_OBJECTS = 100_000
# An answer that makes so many by itself, a large export, is looked through while it is made.
MOST_OBJECTS = 4 * YOUNG_OBJECTS
OLDER_AFTER = 10
"""Looks at one generation before the next older one is looked at too: CPython's default."""


def collector_settle() -> None:
    """Leave what is loaded out of every later look, and look when an answer has been sent.

    Called once, when everything that stays is loaded; addresses are loaded here because
    otherwise the first request would do it.
    """
    import_module(settings.ROOT_URLCONF)
    gc.collect()
    gc.freeze()
    gc.set_threshold(MOST_OBJECTS, OLDER_AFTER, OLDER_AFTER)
    request_finished.connect(collect_when_due, dispatch_uid="collector")


def collect_when_due(**_signal: object) -> None:
    """Look for garbage when enough objects were made since the last time.

    The server closes an answer, which sends this signal, after its last byte.
    """
    young, middle, old = gc.get_count()
    if young > YOUNG_OBJECTS:
        gc.collect(2 if old > OLDER_AFTER else 1 if middle > OLDER_AFTER else 0)
