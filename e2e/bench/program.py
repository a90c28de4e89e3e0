"""One run of from_pod, by BPF_PROG_TEST_RUN, against the number of prefixes of the pod's policy."""
import collections
import subprocess

from lab import TOP
from measure import Curve, Figure, Section

GATES = {"recurring": 150, "random": 500}
FIREWALL = {  # policies, prefixes of each, ranges of ports of each
    "1000x100x16": "1,000 policies x 100 prefixes x 16 ranges of ports",
    "1000x100x16own": "the same, ports of each policy's own",
}
FIREWALL_GATES = {"recurring": 200, "random": 500}


def figure(kind, of, costs, limit, gate):
    return Figure(f"{kind} flows, {of}", "ns", costs, [limit] * len(costs), gate, "allowed")


def feed(quick):
    """A million prefixes as one destination: how long until they are in force, and what 100 policies with it hold."""
    prefixes, times, one, all_of_them = 1000000, [], [], []
    for _ in range(1 if quick else 5):
        text = subprocess.run([TOP / "build/e2e/feed", str(prefixes), "100"], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120).stdout
        read, load, first, last = map(int, text.split())
        times.append(read + load)
        one.append(first)
        all_of_them.append(last)
    n = len(times)
    return [
        Figure("1,000,000 prefixes in one destination, from text to kernel", "ms", times, [5000] * n, "<=1.0",
               "allowed"),
        Figure("bytes in the kernel for each of them", "bytes", [b / prefixes for b in one], [200] * n, "<=1.0",
               "allowed"),
        Figure("bytes of 100 policies with it", "bytes", all_of_them, one, "<=1.2", "one policy"),
    ]


def run(quick):
    section = Section("program", "from_pod, IPv4, by BPF_PROG_TEST_RUN")
    sizes = (1, 100, 10000, 100000) if quick else (1, 10, 100, 1000, 10000, 100000)
    costs = {kind: collections.defaultdict(list) for kind in GATES}
    for _ in range(3 if quick else 9):
        text = subprocess.run([TOP / "build/e2e/from_pod", *map(str, sizes), *FIREWALL], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=120).stdout
        for line in text.splitlines():
            shape, recurring, random = line.split()
            shape = shape if shape in FIREWALL else int(shape)
            costs["recurring"][shape].append(int(recurring))
            costs["random"][shape].append(int(random))
    firewall = {kind: {shape: costs[kind].pop(shape) for shape in FIREWALL} for kind in GATES}
    for kind, limit in GATES.items():
        for count in sizes:
            section.figures.append(figure(kind, f"{count:,} prefixes", costs[kind][count], limit,
                                          "<=1.0" if count == max(sizes) else ""))
    for kind, limit in FIREWALL_GATES.items():
        for shape, of in FIREWALL.items():
            section.figures.append(figure(kind, of, firewall[kind][shape], limit, "<=1.0"))
    section.figures += feed(quick)
    section.curves.append(Curve("One run of from_pod", "prefixes", "ns", costs))
    return section
