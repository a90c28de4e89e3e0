"""One run of from_pod, by BPF_PROG_TEST_RUN, against the number of prefixes of the pod's policy."""
import collections
import subprocess

from lab import TOP
from measure import Curve, Figure, Section

GATES = {"recurring": 150, "random": 500}


def run(quick):
    section = Section("program", "from_pod, IPv4, by BPF_PROG_TEST_RUN")
    sizes = (1, 100, 10000, 100000) if quick else (1, 10, 100, 1000, 10000, 100000)
    costs = {kind: collections.defaultdict(list) for kind in GATES}
    for _ in range(3 if quick else 9):
        text = subprocess.run([TOP / "build/e2e/from_pod", *map(str, sizes)], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=120).stdout
        for line in text.splitlines():
            count, recurring, random = map(int, line.split())
            costs["recurring"][count].append(recurring)
            costs["random"][count].append(random)
    for kind, limit in GATES.items():
        for count in sizes:
            section.figures.append(Figure(f"{kind} flows, {count:,} prefixes", "ns", costs[kind][count],
                                          [limit] * len(costs[kind][count]), "<=1.0" if count == max(sizes) else "",
                                          "allowed"))
    section.curves.append(Curve("One run of from_pod", "prefixes", "ns", costs))
    return section
