"""Figures: pairs taken side by side in one run, their ratio, its spread, and whether it is within its gate."""
import dataclasses
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import time


def quartiles(values):
    """(lower quartile, median, upper quartile)"""
    values = sorted(values)
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def spread(values):
    low, middle, high = quartiles(values)
    return {"median": middle, "low": low, "high": high, "n": len(values)}


@dataclasses.dataclass
class Figure:
    """ours[i] and theirs[i] were measured right after each other; gate: the ratio's limit, e.g. "<=0.40"."""
    name: str
    unit: str
    ours: list
    theirs: list = None
    gate: str = ""
    against: str = ""
    goal: str = ""

    def ratio(self):
        return spread([a / b for a, b in zip(self.ours, self.theirs)]) if self.theirs else None

    def passes(self):
        ratio = self.ratio()
        if not self.gate or not ratio:
            return None
        limit = float(self.gate[2:])
        return ratio["median"] <= limit if self.gate.startswith("<=") else ratio["median"] >= limit

    def tree(self):
        return {"name": self.name, "unit": self.unit, "against": self.against, "ours": spread(self.ours),
                "theirs": spread(self.theirs) if self.theirs else None, "ratio": self.ratio(),
                "gate": self.gate, "goal": self.goal, "pass": self.passes()}


@dataclasses.dataclass
class Curve:
    """A cost against a size: {series: {size: [values]}}"""
    name: str
    x: str
    y: str
    series: dict

    def tree(self):
        return {"name": self.name, "x": self.x, "y": self.y,
                "series": {name: [{"x": x, **spread(ys)} for x, ys in sorted(points.items())]
                           for name, points in self.series.items()}}


@dataclasses.dataclass
class Section:
    name: str
    title: str
    figures: list = dataclasses.field(default_factory=list)
    curves: list = dataclasses.field(default_factory=list)
    notes: dict = dataclasses.field(default_factory=dict)

    def tree(self):
        return {"name": self.name, "title": self.title, "figures": [f.tree() for f in self.figures],
                "curves": [c.tree() for c in self.curves], "notes": self.notes}


def interleaved(rounds, *works):
    """Every round does each work once, in an order of its own, so that nobody always comes after the same one."""
    order = random.Random(rounds)
    for n in range(rounds):
        for work in order.sample(works, len(works)):
            work(n)


# ---- on what it was measured ----

def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()
    except OSError:
        return ""


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    hypervisor = bool(re.search(r"^flags\s*:.* hypervisor( |$)", pathlib.Path("/proc/cpuinfo").read_text(), re.M))
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "processors": os.cpu_count(), "virtual": hypervisor,
            "memory MiB": int(memory.group(1)) // 1024, "kernel": platform.release(),
            "BPF JIT": first_line("cat", "/proc/sys/net/core/bpf_jit_enable")}


def package(name):
    return first_line("dpkg-query", "-W", "-f", "${Version}", name)


def versions():
    return {"sluice": first_line("git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"),
            **{name: package(name) for name in ("containernetworking-plugins", "iproute2", "iptables", "nftables",
                                                "ipset", "gcc", "clang-14")},
            "python": platform.python_version()}


def where(report):
    """A report's machine and versions, a line each."""
    machine = report["machine"]
    cpu = machine["cpu"].replace("(R)", "").replace("(TM)", "")
    return (f"{machine['processors']} {'virtual ' if machine['virtual'] else ''}processors, {cpu}, "
            f"{machine['memory MiB']:,} MiB, Linux {machine['kernel']}",
            ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version))


class Load:
    """How busy the machine was, ourselves included."""

    def __init__(self):
        self.start, self.begun = os.getloadavg(), time.time()

    def tree(self):
        return {"load average at start": round(self.start[0], 2), "at the end": round(os.getloadavg()[0], 2),
                "seconds": round(time.time() - self.begun)}


def store(path, report):
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(report, indent=1) + "\n")
    fresh.rename(path)
