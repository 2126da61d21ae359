"""From verdicts to the quality word of an observation: the one place that maps them."""

from collections.abc import Iterable

from monitoring.core.types import PersonVerdict, Quality
from volumetry.core.types import Verdict


def observation_quality(
    checks: Iterable[Verdict | str], *, person: PersonVerdict | str | None
) -> Quality | None:
    """Map the verdicts of the checks and of a reader to a quality word.

    Parameters
    ----------
    checks : iterable of Verdict
        Verdicts of the automatic checks: pass, warn or fail.
    person : PersonVerdict or None
        The latest word of a reader; None while nobody has looked.

    Returns
    -------
    Quality or None
        ``good`` when all checks pass, ``fair`` with a warning, ``poor`` when a reader accepted
        the scan in spite of a failed check, ``rejected`` when a reader rejected it. None means
        "waits for a reader, not used": a check failed and nobody has accepted the scan yet.
        Unreviewed passes and warnings count, provisionally. A number that no check has looked
        at is ``fair``, for nothing vouches that it is good.

    Raises
    ------
    ValueError
        For a word that is no verdict.

    Examples
    --------
    >>> observation_quality(["pass", "warn"], person=None)
    <Quality.FAIR: 'fair'>
    >>> observation_quality(["fail"], person=None) is None
    True
    """
    verdicts = {Verdict(check) for check in checks}
    reader = None if person is None else PersonVerdict(person)
    if reader is PersonVerdict.REJECTED:
        return Quality.REJECTED
    if Verdict.FAIL in verdicts:
        return Quality.POOR if reader is PersonVerdict.ACCEPTED else None
    if Verdict.WARN in verdicts or not verdicts:
        return Quality.FAIR
    return Quality.GOOD
