"""Python's collector of cyclic garbage in a process that answers pages.

It starts whenever 700 more objects were made than freed, and looks through old objects again
and again. A page of a long course makes tens of thousands at once, all of which live until the
answer is sent: of 60 ms of such a page 10 went into looking for garbage that was not there
(docs/measured.md).
"""

import gc
from importlib import import_module

from django.conf import settings

# Objects made and not freed before the collector looks: what thirty pages of sixty scans leave
# in cycles (3 500 each, measured), some 20 MB. One page in thirty then pays for all.
YOUNG_OBJECTS = 100_000


def collector_settle() -> None:
    """Leave what is loaded out of every later look, and look less often.

    Called once, when everything that stays is loaded; addresses are loaded here because
    otherwise the first request would do it.
    """
    import_module(settings.ROOT_URLCONF)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
