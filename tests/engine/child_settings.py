"""The settings of child processes: those of the tests, and what CHILD_SETTINGS (JSON) replaces."""

import json
import os

from tests.settings import *  # noqa: F403

for _name, _value in json.loads(os.environ["CHILD_SETTINGS"]).items():
    globals()[f"SESSION_CLEANUP_{_name}"] = _value
