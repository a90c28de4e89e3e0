"""Gateways in a laboratory: what is done to them, and how it is seen."""
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "e2e/bench"))
import lab as laboratory  # noqa: E402
import measure  # noqa: E402

PROBE = TOP / "build/e2e/slprobe"
OUTPUT = TOP / "build/gateways"
EXT = {4: "172.31.7.100", 6: "fd31:7::100"}
PATIENCE = 90  # seconds for what must happen, on a machine that does much else


class Problem(Exception):
    """What must not be."""


def wait_for(what, why, seconds=PATIENCE, pause=0.02):
    end = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > end:
            raise Problem(f"{why()if callable(why) else why}: not within {seconds} s")
        time.sleep(pause)
    return value


@dataclasses.dataclass
class Piece:
    """What a prober saw since it was asked last: times in milliseconds."""
    sent: int
    answered: int
    gap: float
    idle: float  # in which it did not send itself


class Prober:
    """UDP at a steady rate from a pod, before all others where the machine is short of time."""

    def __init__(self, world, pod, family, rate, *options):
        self.process = world.lab.start(pod, "chrt", "-f", "40", PROBE, "flood", EXT[family], 7000, rate, 100000, *options,
                                       stdout=subprocess.PIPE)

    def piece(self):
        self.process.send_signal(signal.SIGUSR1)
        words = self.process.stdout.readline().split()
        return Piece(int(words[2]), int(words[4]), int(words[6]) / 1000, int(words[8]) / 1000)

    def end(self):
        """(sent, answered), after the last answers were waited for."""
        self.process.terminate()
        words = self.process.communicate()[0].split()
        return int(words[1]), int(words[3])


class World:
    """with World(3) as w: a node for pods, and so many gateways; nothing runs yet."""

    def __init__(self, gateways, **environment):
        self.gateways = [f"gw{i + 1}" for i in range(gateways)]
        self.nodes = ["node1", *self.gateways]
        self.lab = laboratory.Lab(**environment)

    def __enter__(self):
        lab = self.lab
        # daemons of many machines on one: what else runs here comes after them (sched_autogroup: by session)
        lab("renice -n -10 -p $BASHPID; echo -10 >/proc/$BASHPID/autogroup", may_fail=True)
        lab(". $TOP/e2e/lib/gateways.bash", "gateways_lab " + " ".join(self.nodes))
        lab.prefix, lab.path = lab("echo $P $LAB").split()
        print(f"# {lab.path}", flush=True)
        # the judge, like the probers, is not what is measured
        lab("chrt -f -p 40 $(cat $LAB/pids/ext-serve)")
        return self

    def __exit__(self, kind, *_):
        if kind is Problem:
            print(self.lab("lab_dump", may_fail=True))
        self.lab.close()

    # ---- objects ----

    def office(self, addresses, nodes="role: gw", **failover):
        self.lab.policy("10-gateway.yaml", [{
            "apiVersion": "sluice.dev/v1alpha1", "kind": "EgressGateway", "metadata": {"name": "office"},
            "spec": {"addresses": [{"range": a} for a in addresses], "allowedNamespaces": {},
                     "nodeSelector": {"matchLabels": dict([nodes.split(": ")])}, "failover": failover}}])

    def pods_leave_as(self, addresses=()):
        self.lab.policy("20-web.yaml", [{
            "apiVersion": "sluice.dev/v1alpha1", "kind": "EgressPolicy", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"subject": {"podSelector": {"matchLabels": {"app": "web"}}},
                     "rules": [{"name": "out", "action": "Allow", "via": {"gateway": "office", **({"addresses": list(addresses)} if addresses else {})}}]}}])

    # ---- nodes ----

    def start(self, *nodes):
        self.lab("node_start " + " ".join(nodes))

    def pid(self, node):
        return int(pathlib.Path(self.lab.path, "pids", f"sluiced-{node}").read_text())

    def stop(self, node, how="KILL"):
        self.lab(f"node_stop {node} {how}")

    def link(self, node, state):
        self.lab.ip("seg", f"link set p-{node} {state}\n")

    def crash(self, node):
        """What a power cut looks like from outside."""
        os.kill(self.pid(node), signal.SIGSTOP)
        self.link(node, "down")
        self.stop(node)

    def status(self, node):
        try:
            return json.loads(self.lab(f"ctl {node} status -o json", may_fail=True))
        except json.JSONDecodeError:
            return None

    def addresses(self, node):
        """All that its kernel has on an interface to others."""
        text = self.lab.on(node, "ip", "-o", "addr", "show", "dev", "eth0")
        return {word.split("/")[0] for line in text.splitlines() for word in line.split()[3:4]}

    def owners(self, wanted, nodes=None):
        """{address: [nodes that have it]}"""
        has = {node: self.addresses(node) for node in nodes or self.gateways}
        return {a: [node for node in has if a in has[node]] for a in wanted}

    def asks_as(self, pod, family, address):
        return self.lab(f"ask {pod} udp {EXT[family]} timeout=200", may_fail=True).strip() == address

    def says(self, node, wanted, living):
        """{address: its owner} of those that it tells of, while it hears all who live, and they agree; else None."""
        s = self.status(node)
        if not s:
            return None
        g = s["gateways"]
        peers = [p for p in g.get("peers", []) if p["node"] in living]
        if not g.get("settled") or g.get("state") != "Live" or any(p["state"] != "Live" or not p["agrees"] for p in peers):
            return None
        mine = [a for a in s["addresses"] if a["address"] in wanted]
        return {a["address"]: a["owner"] for a in mine} if all(a["state"] in ("Local", "Remote") for a in mine) else None

    def agreed(self, said, wanted, living):
        """{address: its owner} of what each has said, if none says otherwise, and the kernels say the same; else None."""
        owner = {}
        for one in said.values():
            if any(owner.setdefault(a, o) != o for a, o in one.items()):
                return None
        has = self.owners(wanted, living)
        return owner if all(has[a] == [owner.get(a)] for a in wanted) else None

    def home(self, wanted, living=None):
        """{address: its owner} when all who live agree about each, and the kernels say the same; else None."""
        living, said = living or self.gateways, {}
        for node in living:
            said[node] = self.says(node, wanted, living)
            if said[node] is None:
                return None
        return self.agreed(said, wanted, living)

    def wait_home(self, wanted, living=None):
        """The same, but each at its own moment: on a busy machine there is always one that misses a heartbeat."""
        living, said = living or self.gateways, {}

        def look():
            for node in living:
                if node not in said and (one := self.says(node, wanted, living)) is not None:
                    said[node] = one
            if len(said) < len(living):
                return None
            owner = self.agreed(said, wanted, living)
            if not owner:
                said.clear()
            return owner

        return wait_for(look, "the addresses are where they belong", pause=0.1)


# ---- what was measured ----

def row(values, limit=None):
    low, middle, high = (f"{x:.0f}" if x >= 100 else f"{x:.1f}" for x in (min(values), measure.quartiles(values)[1], max(values)))
    return [str(len(values)), low, middle, high, "" if limit is None else f"≤ {limit} {'ok' if max(values) <= limit else 'MISSED'}"]


def table(head, rows):
    widths = [max(len(r[i]) for r in (head, *rows)) for i in range(len(head))]
    return "".join("| " + " | ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(r, widths))) + " |\n"
                   for r in (head, ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)], *rows))


def report(name, title, load, text, data):
    """Prints it, and keeps it in build/gateways."""
    about = {"title": title, "when": time.strftime("%F %T %Z"), "machine": measure.machine(), "versions": measure.versions(),
             "load": load.tree()}
    text = (f"{title} ({about['when']}, {about['machine']['processors']} processors, kernel {about['machine']['kernel']}, "
            f"load {about['load']['load average at start']} → {about['load']['at the end']}, {about['load']['seconds']} s)\n\n{text}")
    measure.store(OUTPUT / f"{name}.json", {**about, **data})
    (OUTPUT / f"{name}.md").write_text(text)
    print("\n" + text, end="", flush=True)


def main(run):
    """Ctrl-C and SIGTERM end the laboratory, too."""
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    stopped = []

    def stop(number, _):
        stopped.append(128 + number)
        sys.exit(stopped[0])

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        sys.exit(run())
    except Exception as problem:
        if stopped:  # a prober that ended with us had no more to say
            sys.exit(stopped[0])
        if not isinstance(problem, Problem):
            raise
        print(f"PROBLEM {problem}")
        sys.exit(1)
