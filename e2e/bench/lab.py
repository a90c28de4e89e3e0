"""A laboratory of e2e/lib/lab.bash, driven from here: one bash that ends, and cleans up, with us."""
import atexit
import ctypes
import json
import os
import pathlib
import secrets
import shlex
import signal
import string
import subprocess
import tempfile
import threading

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / "build/bin"
METER = TOP / "build/e2e/slmeter"


class Lab:
    """with Lab("node1", "gw1") as lab: lab("web_add a"). Environment as for lab.bash: LAB_EXT=…"""

    def __init__(self, *nodes, **environment):
        self.nodes, self.processes = nodes, []
        self.ns = os.open("/proc/self/ns/net", os.O_RDONLY)
        labs = os.environ.get("SLUICE_LAB") or os.environ.get("SLUICE_E2E_DIR") or tempfile.gettempdir()
        self.path = f"{labs}/sl{''.join(secrets.choice(string.ascii_letters) for _ in range(4))}"
        # a session of its own: Ctrl-C is for us. Should we be killed it cleans up at its input's end
        self.bash = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "LAB_LOG": "warn", "LAB_AS": self.path, **environment})
        atexit.register(self.close)
        self("trap lab_destroy EXIT", f". {shlex.quote(str(TOP))}/e2e/lib/lab.bash")

    def __enter__(self):
        self("lab_up " + " ".join(self.nodes))
        self.prefix, self.path = self("echo $P $LAB").split()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The bash may be at work, where Ctrl-C came: another one cleans up, which nothing interrupts."""
        if not self.bash:
            return
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        ctypes.CDLL(None).setns(self.ns, 0)  # what is in the lab ends with it
        for process in self.processes:
            process.kill()
            process.wait()
        os.killpg(self.bash.pid, signal.SIGKILL)
        self.bash.wait()
        self.bash = None
        subprocess.run(["bash", "-c", '. "$0" && lab_destroy "$1"', TOP / "e2e/lib/lab.bash", self.path],
                       start_new_session=True, check=True)
        if main:
            signal.signal(signal.SIGINT, before)

    def __call__(self, *commands, may_fail=False):
        """Runs them in the one shell and returns what they print; stops at the first that fails."""
        for command in commands:
            self.bash.stdin.write(f"{command}\nprintf '\\0%d\\n' $?\n")
            self.bash.stdin.flush()
            text = ""
            while "\0" not in text:
                line = self.bash.stdout.readline()
                if not line:
                    raise SystemExit(f"bench: the lab ended in: {command}")
                text += line
            text, _, status = text.rpartition("\0")
            if int(status) and not may_fail:
                raise SystemExit(f"bench: failed ({int(status)}): {command}\n{text}")
        return text

    def netns(self, name):
        return f"/run/netns/{self.prefix}-{name}"

    def on(self, name, *command, **kwargs):
        """A command in a namespace of the lab; its output."""
        return subprocess.run(["nsenter", f"--net={self.netns(name)}", *map(str, command)], check=True,
                              text=True, stdout=subprocess.PIPE, timeout=600, **kwargs).stdout

    def ip(self, name, batch):
        self.on(name, "ip", "-batch", "-", input=batch)

    def start(self, name, *command, **kwargs):
        """The same in the background, ended with the lab."""
        process = subprocess.Popen(["nsenter", f"--net={self.netns(name)}", *map(str, command)], text=True, **kwargs)
        self.processes.append(process)
        return process

    def policy(self, name, objects):
        """A file of the policy folder; JSON is YAML."""
        fresh = pathlib.Path(self.path, "policies", f".{name}.new")
        fresh.write_text("".join("---\n" + json.dumps(o) + "\n" for o in objects))
        fresh.rename(fresh.parent / name)


class Calls:
    """slmeter in a namespace: runs programs and says what each cost."""

    def __init__(self, lab, node):
        self.process = lab.start(node, METER, "calls", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.out = pathlib.Path(lab.path, f"out-{node}")
        self.out.mkdir(exist_ok=True)

    def __call__(self, *calls):
        """calls: (program or [program, argument…], stdin file, environment, option) → a dict each, and
        the wall time of all."""
        for n, (program, stdin, environment, option) in enumerate(calls):
            words = program if isinstance(program, list) else [program]
            fields = [option or "-", stdin, self.out / str(n), "\1".join(map(str, words)),
                      *(f"{k}={v}" for k, v in environment.items())]
            self.process.stdin.write("\t".join(map(str, fields)) + "\n")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        costs = []
        for n, (program, *_) in enumerate(calls):
            status, wall, cpu, rss = map(int, self.process.stdout.readline().split())
            if status:
                raise SystemExit(f"bench: {program} {calls[n][2].get('CNI_COMMAND')} exits with {status}: "
                                 f"{(self.out / str(n)).read_text()}")
            costs.append({"wall": wall / 1000, "cpu": cpu / 1000, "rss": rss})
        return costs, int(self.process.stdout.readline().split()[1]) / 1000
