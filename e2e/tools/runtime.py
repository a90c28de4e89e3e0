#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A container runtime's side of CNI, by the text of the specification 1.1.0.

For what Debian 12's libcni (1.1.2, specification 1.0.0) and the runtimes on it do not
do: GC and STATUS, and dying between any two plugins of a list.

    runtime.py add|check|del CONFLIST NETNS CONTAINER    NETNS "-": it is gone
    runtime.py gc CONFLIST [CONTAINER…]                  these are valid, no other is
    runtime.py status CONFLIST

Environment as for cnirun: CNI_PATH, CNI_CACHE (a folder), CNI_IFNAME (eth0), CNI_ARGS,
CAP_ARGS (JSON); KILL_AFTER=N: dies by SIGKILL when the Nth plugin has ended; KILL_IN=N:
when it has got its request, so that it works on alone. What each plugin was called with
is appended to CNI_CACHE/calls: VERB TYPE EXIT.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys

IFNAME = os.environ.get("CNI_IFNAME", "eth0")
CACHE = pathlib.Path(os.environ["CNI_CACHE"])
KILL_AFTER = int(os.environ.get("KILL_AFTER", "0"))
KILL_IN = int(os.environ.get("KILL_IN", "0"))


class Failed(Exception):
    """What a plugin said when it failed."""


class Network:
    """A list of plugins and the results this runtime remembers of it."""

    def __init__(self, conflist):
        self.conf = json.loads(pathlib.Path(conflist).read_text())
        self.calls = 0
        CACHE.mkdir(exist_ok=True)

    def remembered(self, container):
        return CACHE / f"{self.conf['name']}-{container}-{IFNAME}.json"

    def request(self, plugin, extra):
        """The plugin's entry as it is handed over: "capabilities" becomes runtimeConfig."""
        request = {key: value for key, value in plugin.items() if key != "capabilities"}
        given = json.loads(os.environ.get("CAP_ARGS", "{}"))
        asked = plugin.get("capabilities", {})
        runtime_config = {key: value for key, value in given.items() if asked.get(key)}
        if runtime_config and "cni.dev/valid-attachments" not in extra:
            request["runtimeConfig"] = runtime_config
        return {**request, "name": self.conf["name"], "cniVersion": self.conf["cniVersion"], **extra}

    def call(self, verb, plugin, environment, extra):
        binary = next(
            path
            for folder in os.environ["CNI_PATH"].split(":")
            if (path := pathlib.Path(folder, plugin["type"])).is_file()
        )
        base = {k: v for k, v in os.environ.items() if not k.startswith("CNI_") or k == "CNI_PATH"}
        process = subprocess.Popen(
            [binary],
            env={**base, "CNI_COMMAND": verb, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(json.dumps(self.request(plugin, extra)))
        process.stdin.close()
        self.calls += 1
        if self.calls == KILL_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = process.stdout.read().strip()
        status = process.wait()
        with open(CACHE / "calls", "a", encoding="utf-8") as calls:
            calls.write(f"{verb} {plugin['type']} {status}\n")
        if self.calls == KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if status != 0:
            raise Failed(f"{verb} {plugin['type']}: {answer}")
        return json.loads(answer) if answer else None

    def attachment(self, container, netns):
        environment = {"CNI_CONTAINERID": container, "CNI_IFNAME": IFNAME}
        if netns != "-":
            environment["CNI_NETNS"] = netns
        if "CNI_ARGS" in os.environ:
            environment["CNI_ARGS"] = os.environ["CNI_ARGS"]
        return environment

    def add(self, netns, container):
        extra = {}
        for plugin in self.conf["plugins"]:
            extra["prevResult"] = self.call("ADD", plugin, self.attachment(container, netns), extra)
        self.remembered(container).write_text(json.dumps(extra["prevResult"]))
        print(json.dumps(extra["prevResult"], indent=2))

    def previous(self, container):
        path = self.remembered(container)
        return {"prevResult": json.loads(path.read_text())} if path.exists() else {}

    def check(self, netns, container):
        for plugin in self.conf["plugins"]:
            self.call("CHECK", plugin, self.attachment(container, netns), self.previous(container))

    def delete(self, netns, container):
        """In reverse, and no further than the first that fails: it is called again then."""
        for plugin in reversed(self.conf["plugins"]):
            self.call("DEL", plugin, self.attachment(container, netns), self.previous(container))
        self.remembered(container).unlink(missing_ok=True)

    def collect(self, containers):
        """Every plugin is asked, whatever the ones before it said (specification, section 4)."""
        valid = [{"containerID": container, "ifname": IFNAME} for container in containers]
        failures = []
        for plugin in self.conf["plugins"]:
            try:
                self.call("GC", plugin, {}, {"cni.dev/valid-attachments": valid})
            except Failed as failed:
                failures.append(str(failed))
        if failures:
            raise Failed("; ".join(failures))

    def status(self):
        for plugin in self.conf["plugins"]:
            self.call("STATUS", plugin, {}, {})


def main(verb, conflist, *rest):
    network = Network(conflist)
    try:
        if verb == "gc":
            network.collect(rest)
        elif verb == "status":
            network.status()
        else:
            {"add": network.add, "check": network.check, "del": network.delete}[verb](*rest)
    except Failed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
