"""Errors that a person can act on: each message is one sentence for the screen."""


class MonitoringError(ValueError):
    """Something the caller gave cannot be used; the message says what and why."""


class InvalidObservation(MonitoringError):
    """An observation or event carries a value that is none."""


class InvalidParameters(MonitoringError):
    """A parameter set is incomplete, contradictory or not positive definite."""


class InvalidTable(MonitoringError):
    """A table cannot be read; the message names the row."""


class NotAssessable(MonitoringError):
    """The question has no answer with these inputs; the message says what is missing."""
