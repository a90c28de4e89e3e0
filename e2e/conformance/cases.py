"""What a case is: one of the contract's demands, with its level and where it is written.

must and should are the words of the CNI specification (SPEC.md 1.1.0, by section).
libcni is what it leaves open or says otherwise, and what libcni's plugin half
(skel), libcni itself or the runtimes were seen to do or to rely on.
"""
import dataclasses

LEVELS = ("must", "should", "libcni")
_all = []


@dataclasses.dataclass
class Case:
    level: str
    ref: str
    title: str
    body: object
    version: str = ""

    @property
    def line(self):
        return f"{self.title}{' (' + self.version + ')' if self.version else ''} [{self.level}: {self.ref}]"

    def run(self, suite):
        self.body(suite, self.version) if self.version else self.body(suite)


def case(level, ref, title, versions=None):
    """versions: once for each of these that the plugin offers."""
    def add(body):
        _all.append((level, ref, title, body, versions))
        return body
    return add


def every(offered):
    for level, ref, title, body, versions in _all:
        for version in [v for v in versions if v in offered] if versions else [""]:
            yield Case(level, ref, title, body, version)
