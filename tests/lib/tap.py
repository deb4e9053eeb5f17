# SPDX-License-Identifier: GPL-2.0-or-later
"""tap.py: TAP on stdout for the Python tests.

    from tap import Tap
    tap = Tap()
    with tap:                       # an exception inside is a "not ok", never a lost test
        tap.ok(condition, "name", why)
        tap.is_equal(seen, wanted, "name")
        tap.contains(text, part, "name")
        tap.skip("swtpm is missing", "name")      # one check
    sys.exit(tap.done())            # prints the plan; 0 when all is well

tap.skip_all(reason) ends the program with exit 77; tap.bail(reason) ends the whole run.
Must never print a name twice as ok and not ok, and never count a skip as passed.
"""
import sys
import traceback

SKIPPED = 77  # what meson takes for "skipped"
WHY_MAXIMUM = 4000  # characters of an explanation: a console tail fits, a RAM dump does not


def one_line(text):
    """A name or reason must stay on its line, and '#' begins a directive."""
    return " ".join(str(text).split()).replace("#", "\\#")


class Tap:
    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.count = 0
        self.failed = 0
        self.ended = False

    def _say(self, text):
        print(text, file=self.out, flush=True)

    def note(self, text):
        """Lines of explanation that count as nothing."""
        for line in str(text)[-WHY_MAXIMUM:].splitlines() or [""]:
            self._say(f"# {line}")

    def ok(self, condition, name, why=""):
        """One check; why is printed when it failed.  Returns whether it is true."""
        self.count += 1
        good = bool(condition)
        self._say(f"{'ok' if good else 'not ok'} {self.count} - {one_line(name)}")
        if not good:
            self.failed += 1
            if why != "":
                self.note(why)
        return good

    def is_equal(self, seen, wanted, name):
        return self.ok(seen == wanted, name, f"seen:   {seen!r}\nwanted: {wanted!r}")

    def contains(self, text, part, name):
        return self.ok(part in text, name, f"wanted: {part!r}\nin:     {text!r}")

    def raises(self, kind, name, call, *arguments):
        """call must raise kind; returns the exception or None."""
        try:
            call(*arguments)
        except kind as error:
            self.ok(True, name)
            return error
        self.ok(False, name, f"{kind.__name__} was not raised")
        return None

    def skip(self, reason, name=""):
        """One check that cannot run here; the reason names what is missing."""
        self.count += 1
        self._say(f"ok {self.count} - {one_line(name)} # SKIP {one_line(reason)}")

    def skip_all(self, reason):
        # The plan says it; meson takes another exit code than 0 of a TAP program for an error.
        self._say(f"1..0 # SKIP {one_line(reason)}")
        sys.exit(0)

    def bail(self, reason):
        self._say(f"Bail out! {one_line(reason)}")
        sys.exit(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None or issubclass(kind, (SystemExit, KeyboardInterrupt)):
            return False
        last = traceback.extract_tb(trace)[-1]
        self.ok(False, f"no {kind.__name__} in {last.name}",
                "".join(traceback.format_exception(kind, value, trace)))
        return True

    def done(self):
        """Prints the plan; the program's exit code."""
        if not self.ended:
            self.ended = True
            self._say(f"1..{self.count}")
        return 1 if self.failed or self.count == 0 else 0
