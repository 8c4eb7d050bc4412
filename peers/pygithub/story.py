"""What a check says and how it waits: every check is a named step, printed when it held."""

import sys
import time
import traceback

DEADLINE_SECONDS = 20
PAUSE_SECONDS = 0.05

_passed = 0


def step(name):
    """Runs the decorated function at once, prints its name, and becomes its result; a failure ends the program."""

    def run(action):
        global _passed
        try:
            result = action()
        except Exception:
            print(f"FAILED  {name}")
            traceback.print_exc(file=sys.stdout)
            print(f"test result: FAILED. {_passed} passed; 1 failed;", flush=True)
            sys.exit(1)
        _passed += 1
        print(f"ok      {name}", flush=True)
        return result

    return run


def until(what, look):
    """Returns what `look` returns as soon as that is something; fails when it stays nothing."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"{what} did not come within {DEADLINE_SECONDS} s")


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def conclude():
    print(f"test result: ok. {_passed} passed; 0 failed;", flush=True)
