"""The one signal that leaves this house: a run ended."""

from django.dispatch import Signal

# Sent inside the transaction that records the end of a run; argument: run.
run_finished = Signal()
