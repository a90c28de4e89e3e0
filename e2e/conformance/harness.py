"""The node, its pods, and the plugin called as a runtime calls it."""
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import time

CHAINED = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")  # prevResult exists since 0.3.0
CHECKED = CHAINED[2:]


class Fail(Exception):
    """The plugin does not keep this."""


class Skip(Exception):
    """This says nothing about the plugin, for the given reason."""


def require(truth, why):
    if not truth:
        raise Fail(why)


def sh(*command, **kwargs):
    return subprocess.run(command, check=True, text=True, capture_output=True, **kwargs).stdout


@dataclasses.dataclass
class Answer:
    """What one call of the plugin came to."""
    call: str
    rc: int
    out: bytes
    err: bytes

    def __str__(self):
        out, err = (" ".join(raw.decode(errors="replace").split()) for raw in (self.out, self.err))
        return f"{self.call}: exit {self.rc}\nstdout: {out[:300]}\nstderr: {err[-300:]}"

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Fail(f"stdout is not JSON\n{self}") from None

    def good(self):
        require(self.rc == 0, f"failed\n{self}")
        return self

    def silent(self):
        self.good()
        require(not self.out.strip(), f"prints something\n{self}")

    def result(self):
        self.good()
        tree = self.json()
        require(isinstance(tree, dict), f"the result is no object\n{self}")
        return tree

    def error(self, code=None, words=()):
        """A failure as libcni reads it: an object with code and msg on stdout."""
        require(self.rc != 0, f"succeeds\n{self}")
        tree = self.json()
        require(isinstance(tree, dict) and isinstance(tree.get("code"), int)
                and isinstance(tree.get("msg"), str) and tree["msg"], f"no code or msg\n{self}")
        require(code is None or tree["code"] == code, f"code {tree['code']}, not {code}\n{self}")
        text = (tree["msg"] + tree.get("details", "")).lower()
        for word in words:
            require(word.lower() in text, f"the message does not name {word}\n{self}")
        return tree


class Pod:
    """An attachment: a veth pair to the node with addresses of both families, in a network namespace."""
    def __init__(self, suite, n, beside=None):
        self.id = beside.id if beside else f"{suite.prefix}-{n}"
        self.ifname = "net1" if beside else "eth0"
        self.path = f"/run/netns/{self.id}"
        self.host = f"ch{n}"
        self.v4, self.v6 = f"10.88.{n // 250}.{n % 250 + 2}", f"fd00:88::{n + 2:x}"
        if not beside:
            sh("ip", "netns", "add", self.id)
        sh("ip", "link", "add", self.ifname, "netns", self.id, "type", "veth", "peer", "name", self.host)
        self.ip("-batch", "-", input=f"""
            link set lo up
            link set {self.ifname} up
            addr add {self.v4}/16 dev {self.ifname}
            addr add {self.v6}/64 dev {self.ifname} nodad
            """)
        sh("ip", "link", "set", self.host, "up")
        self.mac = json.loads(self.ip("-j", "link", "show", self.ifname))[0]["address"]
        self.host_mac = json.loads(sh("ip", "-j", "link", "show", self.host))[0]["address"]

    def ip(self, *words, **kwargs):
        return sh("ip", "-n", self.id, *words, **kwargs)

    def prev(self, version):
        """What a main plugin would have answered."""
        ips = [{"address": f"{self.v4}/16", "gateway": "10.88.0.1", "interface": 1},
               {"address": f"{self.v6}/64", "gateway": "fd00:88::1", "interface": 1}]
        if version < "1":
            for ip, family in zip(ips, "46"):
                ip["version"] = family
        return {"cniVersion": version, "dns": {},
                "interfaces": [{"name": self.host, "mac": self.host_mac},
                               {"name": self.ifname, "mac": self.mac, "sandbox": self.path}],
                "ips": ips, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.id], capture_output=True)
        subprocess.run(["ip", "link", "del", self.host], capture_output=True)


class Suite:
    def __init__(self, opts):
        self.plugin = opts.plugin.resolve()
        self.prefix = opts.inside
        self.tmp = pathlib.Path("/run") / self.prefix
        self.containers, self.timeout = opts.containers, opts.timeout
        self.pods, self.count = [], 0
        self.own = f"/run/netns/{self.prefix}-own"
        self._node()
        if opts.setup and subprocess.run(opts.setup, shell=True, env={**os.environ, "TMP": str(self.tmp)}).returncode:
            raise SystemExit(f"conformance: failed: {opts.setup}")
        self.extra = {"type": self.plugin.name}
        if opts.conf:
            self.extra.update(json.loads(opts.conf.read_text().replace("@TMP@", str(self.tmp))))
        self.offered = self._offered()
        wanted = opts.versions.split(",") if opts.versions else CHAINED
        self.versions = [v for v in CHAINED if v in wanted and v in self.offered]
        if not self.versions:
            raise SystemExit(f"conformance: {self.plugin} offers none of {' '.join(wanted)}")
        self.newest = self.versions[-1]

    def _node(self):
        for folder in ("/run", "/var/lib/cni"):
            if os.path.isdir(folder):
                sh("mount", "-t", "tmpfs", self.prefix, folder)
        os.makedirs("/run/netns")
        self.tmp.mkdir()
        sh("ip", "link", "set", "lo", "up")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        sh("ip", "netns", "attach", f"{self.prefix}-own", str(os.getpid()))

    def _offered(self):
        # Asked in a version every plugin has heard of; whether the answer is right is a case's business.
        answer = self.call("VERSION", {"cniVersion": "0.4.0"}, only=("CNI_COMMAND",))
        try:
            return json.loads(answer.out)["supportedVersions"]
        except (ValueError, KeyError, TypeError):
            raise SystemExit(f"conformance: no use of VERSION\n{answer}") from None

    def pod(self, beside=None):
        """A new container, or one more interface of one that is there."""
        self.count += 1
        self.pods.append(Pod(self, self.count, beside))
        return self.pods[-1]

    def clean(self):
        """After a case: nothing of its pods, whatever it left undone."""
        for pod in self.pods:
            self.call("DEL", self.conf(pod, self.newest), pod)
            pod.remove()
        self.pods = []

    def conf(self, pod=None, version=None, **more):
        version = version or self.newest
        conf = {"cniVersion": version, "name": f"{self.prefix}-net", **json.loads(json.dumps(self.extra))}
        if pod:
            conf["prevResult"] = pod.prev(version)
        conf.update(more)
        return {key: value for key, value in conf.items() if value is not None}

    def environment(self, verb, pod, only=None, **env):
        full = {"CNI_COMMAND": verb, "CNI_CONTAINERID": pod.id if pod else "",
                "CNI_NETNS": pod.path if pod else "", "CNI_IFNAME": pod.ifname if pod else "",
                "CNI_ARGS": "", "CNI_PATH": str(self.plugin.parent)}
        if only is not None:
            full = {key: full[key] for key in only}
        full.update(env)
        return {key: value for key, value in {"PATH": os.environ["PATH"], **full}.items() if value is not None}

    def call(self, verb, conf, pod=None, stdin=None, **env):
        """env: CNI_NETNS="" sets, CNI_NETNS=None unsets; only=(…): these variables and no others."""
        data = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
        source = {"stdin": stdin} if stdin is not None else {"input": data}
        done = subprocess.run([str(self.plugin)], capture_output=True, timeout=self.timeout, cwd="/",
                              env=self.environment(verb, pod, **env), **source)
        return Answer(f"{verb} {pod.id if pod else ''}".strip(), done.returncode, done.stdout, done.stderr)

    def killed(self, verb, conf, pod, after):
        """A call that is killed after so many seconds, wherever it is then."""
        process = subprocess.Popen([str(self.plugin)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd="/", env=self.environment(verb, pod))
        try:
            process.stdin.write(json.dumps(conf).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        time.sleep(after)
        process.kill()
        process.wait()

    def add(self, pod, version=None, **more):
        return self.call("ADD", self.conf(pod, version, **more), pod).result()

    def delete(self, pod, version=None, **more):
        self.call("DEL", self.conf(pod, version, **more), pod).silent()

    def check(self, pod, version=None, **more):
        return self.call("CHECK", self.conf(pod, version, **more), pod)

    def since(self, *versions):
        """The versions under test that are among these; none is a reason to skip."""
        have = [v for v in self.versions if v in versions]
        if not have:
            raise Skip(f"offers none of {' '.join(versions)}")
        return have[-1]

    def observe(self, pod=None):
        """What can be seen of a plugin's work from outside; where a daemon works behind it (SETTLE
        in the environment: seconds), once that has come to rest."""
        rest = float(os.environ.get("SETTLE", "0"))
        seen = self.look(pod)
        for _ in range(20):
            if not rest:
                break
            time.sleep(rest)
            before, seen = seen, self.look(pod)
            if before == seen:
                break
        return seen

    def look(self, pod):
        """The node and a pod as they are now: text that compares."""
        commands = [["nft", "list", "ruleset"], ["tc", "qdisc"]]
        for where in [[], ["-n", pod.id]] if pod else [[]]:
            for what in (["-d", "link"], ["rule"], ["-6", "rule"], ["route", "show", "table", "all"],
                         ["-6", "route", "show", "table", "all"]):
                commands.append(["ip", *where, *what])
        if pod:
            commands += [["tc", "filter", "show", "dev", pod.host, where] for where in ("ingress", "egress")]
        seen = [subprocess.run(command, capture_output=True, text=True).stdout for command in commands]
        for folder in (pathlib.Path("/run"), pathlib.Path("/var/lib/cni")):
            seen += sorted(str(path) for path in folder.rglob("*") if path.is_file())
        # without counters, and without what the kernel adds by itself while an interface settles
        return re.sub(r"packets \d+ bytes \d+|.*fe80::.*\n|.*ff00::.*\n", "", "\n".join(seen))
