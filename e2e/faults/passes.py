"""The daemon with a fault in it: in a pass after an edit, in one that puts back what somebody
removed, and from its start on. A daemon that ends is started again, as systemd would."""
import subprocess
import time

from cases import Case
from world import BIN, INJECT, OFFICE, Problem, wait_for


def quiet(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Pass(Case):
    """A running daemon, from the moment that the policies change until all is in force."""
    name, daemon, faults_per_call, shards = "a pass of the daemon", True, 3, 6
    pod_stays, starts = True, False
    looks, tries = 4, 3  # no two passes are alike: what is due at the time goes along
    REST = 0.5  # seconds that a pass takes at most from when packets show it, and the next one starts

    def recover(self, why):
        wait_for(self.converged, why)

    def mend(self):
        try:
            self.recover("mend")
        except Problem:
            self.w.daemon_stop()
            self.w.scrub()
            self.w.daemon_start()
            self.added("mend")

    def begin(self):
        super().begin()
        self.added("begin")
        for _ in range(2):  # what a pod that came brings about is no part of what follows
            self.w.policy_toggle()
            wait_for(self.converged, "begin")
            time.sleep(self.REST)

    def attach(self, n, fault):
        """A daemon that the fault before this one ended may be in its last breath."""
        w = self.w
        for _ in range(3):
            if not self.alive():
                w.daemon_start()
            w.report.unlink(missing_ok=True)
            self.tracer = subprocess.Popen([INJECT, w.report, "attach", str(n), fault, str(w.daemon_pid())],
                                           stderr=subprocess.PIPE, text=True)
            wait_for(lambda: self.attached() or self.tracer.poll() is not None, "slinject did not attach")
            if self.attached():
                return
        raise Problem(f"slinject did not attach: {self.tracer.communicate()[1]}")

    def attached(self):
        return self.w.report.exists() and "attached\n" in self.w.report.read_text()

    def let_go(self):
        self.tracer.terminate()
        self.tracer.communicate()

    def alive(self, pid=None):
        try:
            return "State:\tZ" not in open(f"/proc/{pid or self.w.daemon_pid()}/status").read()
        except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
            return False

    def disturb(self):
        self.w.policy_toggle()

    def converged(self):
        if not self.alive():
            self.w.daemon_start()
        return all(self.w.ask(v, 0.2) == a for v, a in OFFICE[self.w.office].items())

    def checks(self):
        """The snapshot comes last in a pass: a daemon killed before it leaves that to the next one."""
        if not self.alive():
            self.w.daemon_start()
        return self.w.plugin("CHECK").rc == 0

    def undisturbed(self):
        with self.w.flood:
            self.attach(0, "none")
            self.disturb()
            wait_for(self.converged, "undisturbed")
            time.sleep(self.REST)
            self.let_go()
        return self.listed()

    def once(self, call, fault):
        with self.w.flood:
            self.attach(call.id, fault)
            pid = self.w.daemon_pid()
            self.disturb()
            try:
                wait_for(self.converged, "not in force after a fault in a pass, or in the one before")
                self.rest_of_pass()
            finally:
                self.let_go()
        if fault == "kill" and self.happened():  # however long its end takes: nobody may take it for alive
            wait_for(lambda: not self.alive(pid), "killed, and still there")
        self.w.in_force("after a pass")
        wait_for(self.checks, "CHECK after a pass")
        return self.happened()

    def happened(self):
        return "fault" in self.w.report.read_text()

    def rest_of_pass(self):
        """Packets go as they should before the pass has written down what is in force."""
        end = time.monotonic() + self.REST
        while not self.happened() and time.monotonic() < end:
            time.sleep(0.01)

    def end(self):
        self.deleted("end")
        self.w.programs_off()


class Repair(Pass):
    """Table, device and addresses are gone; until they are back nothing leaves under a wrong address."""
    name, faults_per_call = "a pass that puts back what somebody removed", 1

    def disturb(self):
        quiet("nft", "delete", "table", "inet", "sluice")
        quiet("ip", "link", "del", "sluice0")
        for office in OFFICE:
            for version, address in office.items():
                quiet("ip", "addr", "del", f"{address}/{32 if version == 4 else 128}", "dev", "eth0")
        super().disturb()

    def converged(self):
        return (super().converged() and quiet("nft", "list", "table", "inet", "sluice")
                and quiet("ip", "link", "show", "sluice0"))


class Start(Pass):
    """The daemon starts on a node where all is in force, and the policies have changed meanwhile."""
    name, faults_per_call, starts = "the start of the daemon", 1, True

    def start(self, n, fault):
        """As node_start does, but for the tracer, which ends with it."""
        w = self.w
        (w.dir / "run/sluiced.sock").unlink(missing_ok=True)
        w.report.unlink(missing_ok=True)
        with open(w.path / "log/sluiced-node1", "a", encoding="utf-8") as log:
            self.tracer = subprocess.Popen([INJECT, w.report, "run", str(n), fault, BIN / "sluiced", *w.node_args],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.child() or self.tracer.poll() is not None, "slinject did not start it")
        pid = w.path / "pids/sluiced-node1"
        pid.unlink(missing_ok=True)
        if self.child():
            pid.write_text(f"{self.child()}\n")
            w.lab("began $(cat $LAB/pids/sluiced-node1) >$LAB/began/sluiced-node1")  # else daemon_stop leaves it alone

    def child(self):
        try:
            with open(f"/proc/{self.tracer.pid}/task/{self.tracer.pid}/children", encoding="ascii") as children:
                return children.read().strip()
        except OSError:  # it is gone
            return ""

    def tried(self, n, fault):
        with self.w.flood:
            self.w.daemon_stop()
            self.disturb()
            self.start(n, fault)
            wait_for(self.converged, "not in force after a start")
            time.sleep(0 if self.happened() else self.REST)

    def undisturbed(self):
        self.tried(0, "none")
        listed = self.listed()
        self.stop()
        return listed

    def stop(self):
        """The one that was started under the tracer, or that took over from it when the fault ended it."""
        self.w.daemon_stop()
        self.tracer.wait()

    def once(self, call, fault):
        self.tried(call.id, fault)
        self.w.in_force("after a start")
        wait_for(self.checks, "CHECK after a start")
        happened = self.happened()
        self.stop()
        return happened

    def end(self):
        self.w.daemon_start()
        super().end()


CASES = (Pass, Repair, Start)
