"""What is done with a fault in it, and what must be true then. A case is a class: begin() makes its
world, once() does it with the fault and judges; calls() lists the system calls to choose from."""
import json

from world import KILLED, OFFICE, Problem, World, require


class Call:
    """The nth system call of a run; which of its kind it is tells it from others in any other run, too."""

    def __init__(self, line, met):
        n, self.name, self.kind, short = line.split()
        self.n, self.short = int(n), short == "1"
        key = f"{self.name}/{self.kind}"
        met[key] = met.get(key, 0) + 1
        self.id = f"{key}/{met[key]}"


def verdict(run, why, stdout_hit=False):
    """A verb of the plugin succeeded (True), or failed as the specification says. stdout_hit: the
    fault was in telling it."""
    require(run.rc in (0, 1, KILLED), f"{why}: neither succeeded nor failed: {run}")
    if run.rc == 1 and not (stdout_hit and not run.out):
        try:
            error = json.loads(run.out)
            require(error["code"] > 0 and error["msg"], f"{why}: an error that says nothing: {run}")
        except (ValueError, KeyError, TypeError):
            raise Problem(f"{why}: the error is not clean JSON: {run}") from None
    return run.rc == 0


class Case:
    name = ""
    world = World
    daemon = False
    pod_stays = False  # from begin() to end()
    faults_per_call = None  # all of them; where a run takes long, so many, in turn
    most = None  # calls that are taken, evenly, of a run that makes very many; None: all
    shards = 1  # that share its runs, each in a world of its own
    starts = True  # a program: its first calls are the dynamic linker's
    looks = 1  # undisturbed runs that its calls are taken from: where one calls more than another
    tries = 1  # runs, until the fault has come to happen in one

    def __init__(self, world):
        self.w = world

    def begin(self):
        if not self.daemon:
            self.w.daemon_stop()

    def end(self):
        pass

    def mend(self):
        """After a problem: what the next run needs, without a word about what is wrong."""
        try:
            self.recover("mend")
        except Problem:
            self.w.scrub()
            if self.pod_stays:
                self.w.sluiced("--once")
                self.added("mend")

    def listed(self):
        met = {}
        return [Call(line, met) for line in self.w.report.read_text().splitlines() if " " in line]

    def undisturbed(self):
        """The calls of such a run."""
        self.prepare()
        self.act(0, "none")
        listed = self.listed()
        self.recover("undisturbed")
        return listed

    def calls(self):
        """Those of all looks: of the longest, and behind them what only others had. Where some are
        chosen, of the shortest: they are met again."""
        lists = sorted((self.undisturbed() for _ in range(self.looks)), key=len, reverse=True)
        if self.most:
            return lists[-1]
        known = {call.id: call for listed in reversed(lists) for call in listed}
        longest = {call.id for call in lists[0]}
        return lists[0] + [call for call in known.values() if call.id not in longest]

    def prepare(self):
        pass

    def once(self, call, fault):
        self.early = call.n < self.main_at
        self.stdout_hit = call.name == "write" and call.kind in ("1", "2")  # a pipe
        # a lock file may stay: it is empty, nobody holds it, and the next one takes it away
        self.lock_hit = call.name == "unlinkat" and call.n == self.last_unlink
        self.prepare()
        run = self.act(call.id, fault)
        if self.early and run.rc not in (0, 1):
            run.rc = KILLED  # before main() nobody is there to say anything
        self.judge(run)
        self.recover("afterwards")
        return run.fault

    def added(self, why):
        run = self.w.plugin("ADD")
        require(run.rc == 0, f"{why}: ADD: {run}")

    def deleted(self, why):
        run = self.w.plugin("DEL")
        require(run.rc == 0 and not run.out, f"{why}: DEL: {run}")
        self.w.nothing_left(f"{why}: after DEL")


class Add(Case):
    def act(self, n, fault):
        return self.w.plugin("ADD", n=n, fault=fault)

    def judge(self, run):
        if verdict(run, "ADD", self.stdout_hit):
            require(json.loads(run.out)["ips"] == self.w.result["ips"], f"ADD: not the result: {run}")
            self.w.in_force("after ADD")
            check = self.w.plugin("CHECK")
            require(check.rc == 0, f"CHECK after ADD: {check}")

    def recover(self, why):
        self.deleted(why)
        self.w.programs_off()


class AddDaemon(Add):
    name, daemon = "ADD, the daemon asked", True


class AddFree(Add):
    name = "ADD of a pod that no policy selects"

    def act(self, n, fault):
        return self.w.plugin("ADD", n=n, fault=fault, labels={"app": "other"})

    def judge(self, run):
        """A policy may select it at any time: it must carry the program."""
        if verdict(run, "ADD", self.stdout_hit):
            require(self.w.map_entry() and self.w.programs() == 1, "ADD: the pod cannot be governed later")


class AddSnapshot(Add):
    name = "ADD from the snapshot"

    def begin(self):
        # the daemon has met such a pod
        super().begin()
        self.added("begin")
        self.w.sluiced("--once")
        self.recover("begin")


class AddOnce(Add):
    name, faults_per_call, shards = "ADD that runs sluiced --once", 3, 2
    looks = tries = 2  # the policies say one thing and the other in turn

    def prepare(self):
        self.w.policy_toggle()

    def recover(self, why):
        """A run that was killed with the plugin may have been writing: the next one takes that away."""
        run = self.w.sluiced("--once")
        require(run.rc == 0, f"{why}: the next --once: {run}")
        super().recover(why)


class Governed(Case):
    """The pod is there, and sends all the time."""

    def prepare(self):
        self.added("prepare")

    def act(self, n, fault):
        with self.w.flood:
            return self.verb(n, fault)

    def recover(self, why):
        self.deleted(why)
        self.w.no_stranger(why)
        self.w.programs_off()


class Del(Governed):
    def verb(self, n, fault):
        return self.w.plugin("DEL", n=n, fault=fault)

    def judge(self, run):
        self.w.no_stranger("during DEL")
        if verdict(run, "DEL", self.stdout_hit) and not self.lock_hit:
            self.w.nothing_left("DEL")
        for version in OFFICE[0]:
            require(self.w.ask(version, 0.02) in (None, OFFICE[self.w.office][version]), "after DEL: seen")


class DelDaemon(Del):
    name, daemon = "DEL, with a daemon", True


class DelAlone(Del):
    name = "DEL"


class Gc(Governed):
    def verb(self, n, fault):
        return self.w.plugin("GC", n=n, fault=fault, **{"cni.dev/valid-attachments": []})

    def judge(self, run):
        self.w.no_stranger("during GC")
        if verdict(run, "GC", self.stdout_hit) and not self.lock_hit:
            self.w.nothing_left("GC")

    def recover(self, why):
        run = self.verb(None, "none")
        require(run.rc == 0 and not run.out, f"{why}: GC: {run}")
        self.w.nothing_left(f"{why}: after GC")
        self.w.no_stranger(why)
        self.w.programs_off()


class GcDaemon(Gc):
    name, daemon = "GC, with a daemon", True


class GcAlone(Gc):
    name = "GC"


class Check(Governed):
    pod_stays = True

    def begin(self):
        super().begin()
        self.added("begin")

    def prepare(self):
        pass

    def verb(self, n, fault):
        return self.w.plugin("CHECK", n=n, fault=fault)

    def judge(self, run):
        verdict(run, "CHECK", self.stdout_hit)
        require(run.rc != 0 or not run.out, f"CHECK prints something: {run}")

    def recover(self, why):
        self.w.in_force(f"{why}: CHECK")

    def end(self):
        super().recover("end")


class CheckDaemon(Check):
    name, daemon = "CHECK, the daemon asked", True


class CheckAlone(Check):
    name = "CHECK"


class Once(Case):
    """The pod is governed and sends; the policies have changed since."""
    name, faults_per_call, shards = "sluiced --once, the policies changed", 3, 6
    looks = tries = 2
    pod_stays = True

    def begin(self):
        super().begin()
        self.added("begin")

    def prepare(self):
        self.w.policy_toggle()

    def act(self, n, fault):
        with self.w.flood:
            return self.w.sluiced("--once", n=n, fault=fault)

    def judge(self, run):
        require(run.rc in (0, 1, 2, KILLED), f"--once: neither succeeded nor failed: {run}")
        require(run.rc in (0, KILLED) or run.err.strip(), f"--once: failed without a word: {run}")
        self.w.no_stranger("during --once")
        if run.rc == 0:
            self.w.in_force(f"after --once ({run})")

    def recover(self, why):
        run = self.w.sluiced("--once")
        require(run.rc == 0, f"{why}: the next --once: {run}")
        self.w.in_force(f"{why}: the next --once")
        run = self.w.sluiced("--once", "--log-level", "debug")
        require("msg=step" not in run.err and "event=step" not in run.err,
                f"{why}: a third --once still finds something to do: {run.err}")

    def end(self):
        self.deleted("end")
        self.w.programs_off()


class OnceCold(Once):
    name, faults_per_call, shards = "sluiced --once on a node where nothing is yet", 1, 6

    def prepare(self):
        run = self.w.sluiced("--cleanup")
        require(run.rc == 0, f"--cleanup: {run}")
        for name in ("snapshot", "ids.json"):
            (self.w.dir / "state" / name).unlink(missing_ok=True)

    def act(self, n, fault):  # until it has run, nothing is governed
        return self.w.sluiced("--once", n=n, fault=fault)


CASES = (AddDaemon, AddFree, AddSnapshot, AddOnce, DelDaemon, DelAlone, CheckDaemon, CheckAlone, GcDaemon, GcAlone, Once, OnceCold)
