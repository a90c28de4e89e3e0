"""One node with one governed pod, the plugin and daemon as the faults meet them, and the judges."""
import ctypes
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import lab as laboratory  # noqa: E402

BIN = laboratory.BIN
INJECT = laboratory.TOP / "build/e2e/slinject"
PROBE = laboratory.TOP / "build/e2e/slprobe"
EXT = {4: "172.31.7.100", 6: "fd31:7::100"}
# two identities; which one is in force is what the policy says
OFFICE = ({4: "172.31.7.50", 6: "fd31:7::50"}, {4: "172.31.7.51", 6: "fd31:7::51"})
# an open connection keeps its address, so those who ask use a port that has rested
PORTS = range(10000, 32000)
PATIENCE = 60  # seconds for what must happen, on a machine that does much else
# and for one program: where libbpf's own look at what the kernel can fails (a BTF_LOAD), it loads the
# programs without the types of their functions, and the verifier works for 12 s until it gives up
AT_WORK = 240
KILLED = 128 + signal.SIGKILL
libc = ctypes.CDLL(None, use_errno=True)


class Problem(Exception):
    """What must not be."""


def require(truth, why):
    if not truth:
        raise Problem(why)


def wait_for(what, why, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not what():
        require(time.monotonic() < end, why)
        time.sleep(0.01)


class Run:
    """What one call of a program came to."""

    def __init__(self, rc, out, err, fault):
        self.rc, self.out, self.err, self.fault = rc, out, err, fault

    def __str__(self):
        return f"exit {self.rc}{'' if self.fault else ', no fault'} stdout {self.out.strip()[:300]!r} stderr {self.err.strip()[-300:]!r}"


class Flood(threading.Thread):
    """A pod that never stops opening connections."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.on = world, threading.Event()
        self.idle = threading.Event()
        self.start()

    def run(self):
        os_setns(self.world.pod.ns)  # of this thread alone
        open_, version = [], 4
        while True:
            if not self.on.is_set():
                self.idle.set()
                self.on.wait()
                self.idle.clear()
            version = 10 - version
            s = socket.socket(family(version), socket.SOCK_DGRAM)
            try:
                s.connect((EXT[version], 7000))
                s.send(b"flood")
            except OSError:
                pass  # refused: as good as dropped
            open_.append(s)
            if len(open_) > 20:
                open_.pop(0).close()
            time.sleep(0.005)

    def pause(self):
        self.on.clear()
        self.idle.wait()

    def __enter__(self):
        self.idle.clear()
        self.on.set()

    def __exit__(self, *_):
        self.pause()


def family(version):
    return socket.AF_INET if version == 4 else socket.AF_INET6


def os_setns(fd):
    if libc.setns(fd, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


def end_with_parent():
    """And with us the shell of the lab, which cleans up."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def ip(batch, netns=None):
    subprocess.run(["ip", *(["-n", netns] if netns else []), "-batch", "-"], input=batch, text=True, check=True)


class Pod:
    """Made by the lab's chain without us, so that a test can call us as often as it likes."""

    def __init__(self, lab, name):
        self.name, self.container, self.netns = name, f"{lab.prefix}-{name}", lab.netns(name)
        lab(f"pod_add {name}")
        self.veth = lab(f"pod_veth {name}").strip()
        self.result = json.loads(pathlib.Path(lab.path, f"{name}.result").read_text())
        self.ns = os.open(self.netns, os.O_RDONLY)
        self.ifindex = int(lab(f"ip -n $P-node1 -j link show {self.veth} | jq '.[0].ifindex'"))
        self.mac = lab(f"pod_mac {name}").strip()
        # a packet that waits for its neighbour would leave later, when nobody governs the pod any more
        mac = lab("ip -n $P-node1 -j link show cni0 | jq -r '.[0].address'").strip()
        self.neighbours = "".join(f"neigh replace {gateway} lladdr {mac} dev eth0 nud permanent\n"
                                  for gateway in ("10.244.1.1", "fd00:244:1::1"))
        ip(self.neighbours, lab.prefix + "-" + name)

    def renew(self, prefix):
        """Another interface of the same name and addresses, as a container started again has it."""
        ip(f"link del {self.veth}\nlink add {self.veth} type veth peer name eth0 address {self.mac} "
           f"netns {prefix}-{self.name}\nlink set {self.veth} master cni0 up\n")
        addresses = "".join(f"addr add {a['address']} dev eth0 {'nodad' if ':' in a['address'] else ''}\n"
                            for a in self.result["ips"])
        ip(f"link set eth0 up\n{addresses}{self.neighbours}route add default via 10.244.1.1\n"
           "route add default via fd00:244:1::1\n", f"{prefix}-{self.name}")
        self.ifindex = socket.if_nametoindex(self.veth)
        # an address is there at once, the route by which answers to it are taken a moment later
        wait_for(lambda: self.answers_taken(f"{prefix}-{self.name}"), f"{self.name} does not take answers")

    def answers_taken(self, netns):
        local = subprocess.run(["ip", "-n", netns, "-6", "route", "show", "table", "local"], capture_output=True,
                               text=True, check=True).stdout
        return all(f"local {a['address'].split('/')[0]} " in local for a in self.result["ips"] if ":" in a["address"])


class World:
    """with World() as w. The process itself is in the node's network namespace."""
    target = "node1"  # whose daemon it is that meets the faults
    home = "node1"    # who has the addresses in the beginning

    def __init__(self):
        self.lab = laboratory.Lab("node1", LAB_LOG="info")
        self.outer_ns = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.under = []  # a command that runs programs
        self.ports = itertools.cycle(PORTS)

    def __enter__(self):
        self.up()
        self.prefix, self.path = self.lab.prefix, pathlib.Path(self.lab.path)
        self.dir = self.path / "node1"
        self.node_ns = os.open(self.lab.netns("node1"), os.O_RDONLY)
        os_setns(self.node_ns)
        self.node_args = self.lab('node_args node1; echo "${NODE_ARGS[@]}"').split()
        self.objects()
        self.lab(f"gateway_wait {self.home}", "LAB_PLAIN='[]' chain_write bridge")
        self.pod = Pod(self.lab, "p")
        self.result = self.pod.result
        # what the flood opened is over soon: each open connection costs a pass its share
        for timeout in ("udp_timeout", "udp_timeout_stream"):
            self.lab(f"on node1 sysctl -qw net.netfilter.nf_conntrack_{timeout}=1")
        self.entry = json.loads(self.lab("sluice_entry node1"))
        self.report = self.path / "report"
        self.flood = Flood(self)
        return self

    def __exit__(self, *exc):
        self.flood.pause()
        os_setns(self.outer_ns)  # what is in the lab ends with it
        self.lab.__exit__(*exc)

    @classmethod
    def missing(cls):
        """Why there can be no such world here; None: there can."""

    def up(self):
        """The laboratory."""
        self.lab.__enter__()

    def objects(self):
        """What the policies say in the beginning, and daemons that hear it."""
        self.lab("""policy 10-gateway.yaml <<'END'
apiVersion: sluice.dev/v1alpha1
kind: EgressGateway
metadata: {name: office}
spec:
  addresses: [{range: 172.31.7.50-172.31.7.51}, {range: "fd31:7::50-fd31:7::51"}]
  allowedNamespaces: {}
END""")
        self.policy_set(0)
        self.daemon_start()

    # ---- programs ----

    def call(self, argv, conf="", environment=None, n=None, fault="none"):
        """Runs it, with the fault in its system call n if given (see slinject); 0 lists them in self.report."""
        if n is not None:
            argv = [INJECT, self.report, "run", n, fault, *argv]
        p = subprocess.Popen([str(a) for a in [*self.under, *argv]], env=environment, text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace")
        try:
            out, err = p.communicate(conf, timeout=AT_WORK)
        except subprocess.TimeoutExpired:
            p.kill()  # what is traced ends with it
            out, err = p.communicate()
            raise Problem(f"still at work after {AT_WORK} s: stdout {out!r} stderr {err!r}") from None
        happened = n and self.report.read_text().startswith("fault")
        return Run(p.returncode, out, err, bool(happened))

    def plugin(self, verb, n=None, fault="none", labels=None, pod=None, **more):
        pod = pod or self.pod
        conf = {"cniVersion": "1.1.0", "name": "lab-node1", **self.entry,
                "runtimeConfig": {"podLabels": labels or {"app": "web"}}, **more}
        if verb in ("ADD", "CHECK"):
            conf["prevResult"] = {**pod.result, "cniVersion": "1.1.0"}
        environment = {"CNI_COMMAND": verb, "CNI_PATH": str(BIN), "PATH": os.environ["PATH"]}
        if verb != "GC":
            environment |= {"CNI_CONTAINERID": pod.container, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0",
                            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.name}"}
        return self.call([BIN / "sluice"], json.dumps(conf), environment, n, fault)

    def sluiced(self, *arguments, n=None, fault="none"):
        return self.call([BIN / "sluiced", *self.node_args, *arguments], n=n, fault=fault)

    def daemon_pid(self):
        return int((self.path / f"pids/sluiced-{self.target}").read_text())

    def daemon_start(self):
        self.lab(f"node_start {self.target}")

    def daemon_stop(self):
        self.lab(f"node_stop {self.target}")

    def told(self, node="node1", op="status", **more):
        """What a daemon answers; None: it does not."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(2)
            try:
                s.connect(str(self.path / node / "run/sluiced.sock"))
                s.send(json.dumps({"v": 1, "op": op, **more}).encode())
                answer = json.loads(s.recv(1 << 20))
            except (OSError, ValueError):
                return None
        return answer if answer["ok"] else None

    # ---- what the policies say ----

    def policy_set(self, office):
        """Pods with app=web leave as OFFICE[office]."""
        self.office = office
        fresh = self.path / "policies/.20-web.yaml.new"
        fresh.write_text(f"""apiVersion: sluice.dev/v1alpha1
kind: EgressPolicy
metadata: {{name: web, namespace: default}}
spec:
  subject: {{podSelector: {{matchLabels: {{app: web}}}}}}
  rules:
  - {{name: out, action: Allow, via: {{gateway: office, addresses: [{OFFICE[office][4]}, "{OFFICE[office][6]}"]}}}}
""")
        fresh.rename(self.path / "policies/20-web.yaml")

    def policy_toggle(self):
        self.policy_set(1 - self.office)

    # ---- judges ----

    def ask(self, version, timeout=5.0, pod=None):
        """The address as which the pod reaches the outside, or None."""
        os_setns((pod or self.pod).ns)
        s = socket.socket(family(version), socket.SOCK_DGRAM)
        os_setns(self.node_ns)
        with s:
            s.settimeout(timeout)
            try:
                s.bind(("", next(self.ports)))
                s.connect((EXT[version], 7000))
                s.send(b"ask")
                return s.recv(2048).split()[0].decode()
            except OSError:
                return None

    def seen_as(self, version):
        """As ask(); again, when nothing came back: the connections of this node are forgotten after a
        second, and with them what a busy machine answers later."""
        end = time.monotonic() + PATIENCE
        seen = None
        while seen is None and time.monotonic() < end:
            seen = self.ask(version)
        return seen

    def in_force(self, why):
        """Governed, as the policies say now: what an ADD that succeeded promises."""
        require(self.map_entry(), f"{why}: no map entry")
        for version, address in OFFICE[self.office].items():
            seen = self.seen_as(version)
            require(seen == address, f"{why}: seen as {seen}, expected {address}")
        self.no_stranger(why)

    def sources(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.path / "ext.sock"))
            s.send(b"counts")
            lines = s.recv(1 << 20).decode().splitlines()
        return {line.split()[1] for line in lines if line.startswith("pkt-udp")}

    def no_stranger(self, why):
        strangers = self.sources() - {a for office in OFFICE for a in office.values()}
        if strangers:
            self.lab("counts reset")
        require(not strangers, f"{why}: packets left as {' '.join(strangers)}")

    def pins(self):
        return next((self.dir / "bpf").glob("v*"))

    def map_entry(self, pod=None):
        """Whether the pod's interface has an entry in the map of pods."""
        listing = subprocess.run(["bpftool", "-j", "map", "lookup", "pinned", self.pins() / "pods", "key",
                                  *map(str, (pod or self.pod).ifindex.to_bytes(4, sys.byteorder))],
                                 capture_output=True, text=True)
        return listing.returncode == 0 and '"value"' in listing.stdout

    def left_behind(self):
        """What of the pod, or of a call that was cut short, is still there."""
        state, run = self.dir / "state", self.dir / "run"
        left = [f"record {f.name}" for f in (state / "attachments").iterdir()]
        left += [f"file {f.name}" for f in state.iterdir() if f.name.startswith(".")]
        left += [f"lock {f.name}" for f in (run / "locks").iterdir() if f.name != "node"]
        left += [f"pin {f.name}" for f in self.pins().iterdir() if f.name.endswith("_new")]
        return left + (["the pod's map entry"] if self.map_entry() else [])

    def nothing_left(self, why):
        """A daemon at work may have something in hand: it gets a moment to put it down."""
        try:
            wait_for(lambda: not self.left_behind(), why)
        except Problem:
            raise Problem(f"{why}: left behind: {', '.join(self.left_behind())}") from None

    def programs(self):
        """How many the interface carries."""
        done = subprocess.run([PROBE, "tcx", "list", self.pod.veth, "ingress"], capture_output=True, text=True)
        if done.returncode == 3:
            done = subprocess.run(["sh", "-c", f"tc filter show dev {self.pod.veth} ingress | grep -o ' id [0-9]*'"],
                                  capture_output=True, text=True)
        return len(done.stdout.splitlines())

    def programs_off(self, pod=None):
        """The interface as if new."""
        veth = (pod or self.pod).veth
        done = subprocess.run([PROBE, "tcx", "clear", veth, "ingress"], capture_output=True, text=True)
        if done.returncode == 3:  # no TCX here
            subprocess.run(["tc", "filter", "del", "dev", veth, "ingress"], capture_output=True)
        require(len(done.stdout.split()) <= 1, f"programs on {veth}: {done.stdout.split()}")

    def state(self):
        """All that one may want to know of a node where something is wrong."""
        return self.lab("(LAB_TAIL=80 lab_dump) 2>&1", may_fail=True)

    def scrub(self):
        """After a problem: its remains must not be those of the next run."""
        for folder in ("state/attachments", "run/locks"):
            for f in (self.dir / folder).iterdir():
                f.unlink(missing_ok=True)
        for f in (self.dir / "state").glob(".*"):
            f.unlink(missing_ok=True)
        subprocess.run(["bpftool", "map", "delete", "pinned", self.pins() / "pods", "key",
                        *map(str, self.pod.ifindex.to_bytes(4, sys.byteorder))], capture_output=True)
        self.programs_off()
