"""The system checks of this project: their ids, and a policy that nothing is wrong with."""

from session_cleanup.checks import check_configuration
from session_cleanup.policies import Aged, Delete, Policy, presets

HOUSEKEEPING = [job.name for job in presets.HOUSEKEEPING()]  # after all others


def found(check=check_configuration):
    messages = check(None)
    assert all(message.hint for message in messages)
    for message in messages:
        severity = "E" if message.is_serious() else "W"
        assert message.id.startswith(f"session_cleanup.{severity}")
    return [message.id.removeprefix("session_cleanup.") for message in messages]


def message_of(check=check_configuration):
    [message] = check(None)
    return message.msg


def policy(**values):
    """A policy that nothing is wrong with, but for `values`."""
    good = {"name": "job", "model": "testapp.Book", "select": Aged("read_at"), "action": Delete()}
    return Policy(**{**good, **values})
