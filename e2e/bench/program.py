"""One run of from_pod, by BPF_PROG_TEST_RUN, against the number of prefixes of the pod's policy."""
import collections
import subprocess

from lab import TOP
from measure import Curve, Figure, Section

GATES = {"recurring": 150, "random": 500}
FIREWALL = "1000x100x16"  # policies, prefixes of each, ranges of ports of each
FIREWALL_GATES = {"recurring": 200, "random": 500}


def figure(kind, of, costs, limit, gate):
    return Figure(f"{kind} flows, {of}", "ns", costs, [limit] * len(costs), gate, "allowed")


def run(quick):
    section = Section("program", "from_pod, IPv4, by BPF_PROG_TEST_RUN")
    sizes = (1, 100, 10000, 100000) if quick else (1, 10, 100, 1000, 10000, 100000)
    costs = {kind: collections.defaultdict(list) for kind in GATES}
    for _ in range(3 if quick else 9):
        text = subprocess.run([TOP / "build/e2e/from_pod", *map(str, sizes), FIREWALL], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=120).stdout
        for line in text.splitlines():
            shape, recurring, random = line.split()
            shape = shape if shape == FIREWALL else int(shape)
            costs["recurring"][shape].append(int(recurring))
            costs["random"][shape].append(int(random))
    firewall = {kind: costs[kind].pop(FIREWALL) for kind in GATES}
    for kind, limit in GATES.items():
        for count in sizes:
            section.figures.append(figure(kind, f"{count:,} prefixes", costs[kind][count], limit,
                                          "<=1.0" if count == max(sizes) else ""))
    for kind, limit in FIREWALL_GATES.items():
        section.figures.append(figure(kind, "1,000 policies x 100 prefixes x 16 ranges of ports", firewall[kind],
                                      limit, "<=1.0"))
    section.curves.append(Curve("One run of from_pod", "prefixes", "ns", costs))
    return section
