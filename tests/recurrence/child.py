"""A process of test_processes: python -m tests.recurrence.child ROLE SEED TIMES.

It says "ready", begins when it is told to, and says at the end, in JSON, what it did.
"""

import json
import random
import sys

import django

if __name__ == "__main__":
    django.setup()

    from django.db import connection

    from tests.recurrence.roles import ROLES

    role, seed, times = sys.argv[1:]
    connection.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(json.dumps(ROLES[role](random.Random(f"{role} {seed}"), int(times))))
