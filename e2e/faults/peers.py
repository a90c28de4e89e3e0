"""Two gateways that hear each other, with a fault in the daemon of one: while the addresses move as
planned, there and back, and while one takes them over from the other that is cut off. All the time
it is looked at who has them, and the pod, which is on the first of the two, sends."""
import os
import socket
import struct
import threading
import time

import passes
from world import OFFICE, World, os_setns, require, wait_for

ADDRESSES = tuple(OFFICE[0].values())
NODES = ("node1", "gw1")
# Seconds that two may have an address, both in order: a daemon that comes back with one believes what it
# hears of it after three (MOVE_PATIENCE_MS); the rest is the machine's. It must stay below the ten after
# which an address is let go of unheard (MOVE_LEAVE_MS): who is spoken to answers.
BOUND = 6
LOOK = 0.02


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class Kernel:
    """The addresses that a network namespace has now, by a socket that was made there."""

    def __init__(self, netns):
        ns = os.open(netns, os.O_RDONLY)
        os_setns(ns)  # of this thread alone
        os.close(ns)
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def addresses(self):
        self.s.send(struct.pack("=IHHII8x", 24, 22, 0x301, 1, 0))  # RTM_GETADDR, all of them
        data, last = b"", 0
        while last != 3:  # NLMSG_DONE
            part = self.s.recv(1 << 16)
            at = 0
            while at < len(part):
                size, last = struct.unpack_from("=IH", part, at)
                at += (size + 3) & ~3
            data += part
        return {a for a in ADDRESSES if packed(a) in data}


class Owners(threading.Thread):
    """Looks all the time who has what."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab = lab
        self.has = dict.fromkeys(NODES, set())
        self.apart = False  # one is cut off: what it has is nobody's business
        self.since = self.longest = 0
        self.start()

    def run(self):
        kernels = {node: Kernel(self.lab.netns(node)) for node in NODES}
        while True:
            self.has = {node: kernel.addresses() for node, kernel in kernels.items()}
            now = time.monotonic()
            if self.apart or not set.intersection(*self.has.values()):
                self.since = now
            self.longest = max(self.longest, now - self.since)
            time.sleep(LOOK)

    def only(self, node):
        return all(has == (set(ADDRESSES) if n == node else set()) for n, has in self.has.items())

    def settle(self):
        """The longest time since it was asked last."""
        require(self.is_alive(), "nobody looks any more who has what")
        longest, self.longest = self.longest, 0
        return longest


class PeersWorld(World):
    def up(self):
        lab = self.lab
        lab(". $TOP/e2e/lib/gateways.bash", "gateways_lab node1 gw1", "GATEWAYS=(node1 gw1)",
            "no_redirects node1")
        lab.prefix, lab.path = lab("echo $P $LAB").split()

    def objects(self):
        prefers = f"preferredNodes: {{matchLabels: {{kubernetes.io/hostname: {self.home}}}}}"
        ranges = ", ".join(f"{{range: '{a}', {prefers}}}" for a in ADDRESSES)
        self.lab(f'office_of "{ranges}" "" "failover: {{interval: 200ms, missed: 5, holdDown: 1s}}"')
        self.policy_set(0)
        self.lab("node_start node1 gw1")

    def hear_each_other(self, drained):
        """Both are ready, and each has the other for what it is."""
        state = {"node1": "Drained" if drained else "Live", "gw1": "Live"}
        for node, other in zip(NODES, reversed(NODES)):
            status = self.told(node)
            if not status or not status["ready"] or status["gateways"]["state"] != state[node]:
                return False
            if [(p["node"], p["state"], p["agrees"]) for p in status["gateways"]["peers"]] != [(other, state[other], True)]:
                return False
        return True


class Move(passes.Pass):
    """node1 is drained, or is no longer."""
    world, faults_per_call, shards = PeersWorld, 1, 2
    most, looks = 250, 2
    at = ""  # whose daemon has the fault
    drained = False  # what the run makes of node1

    def begin(self):
        self.w.target = self.at
        self.owners = Owners(self.w.lab)
        self.added("begin")
        self.rest()

    def drain(self, on):
        self.wanted, self.asked = on, False

    def rest(self):
        """As it is before a run."""
        self.drain(not self.drained)
        wait_for(self.converged, "the addresses do not go back")
        time.sleep(self.REST)

    def disturb(self):
        self.drain(self.drained)

    def converged(self):
        if not self.alive():
            self.w.daemon_start()
        if not self.asked:
            self.asked = bool(self.w.told(op="drain", on=self.wanted))
        there = "gw1" if self.wanted else "node1"
        return (self.asked and self.owners.only(there) and super().converged()
                and self.w.hear_each_other(self.wanted))

    def undisturbed(self):
        listed = super().undisturbed()
        self.rest()
        return listed

    def once(self, call, fault):
        happened = super().once(call, fault)
        self.w.no_stranger("after a move")
        self.rest()
        longest = self.owners.settle()
        require(longest <= BOUND, f"two had an address for {longest:.1f} s")
        return happened


class Seize(Move):
    """gw1, which has the addresses, is cut off."""
    name = "a gateway that takes over from one that is cut off"
    at = "node1"

    class world(PeersWorld):
        home = "gw1"

    def cut(self, off):
        self.off = off
        self.owners.apart = True
        passes.quiet("ip", "-n", f"{self.w.prefix}-seg", "link", "set", "p-gw1", "down" if off else "up")
        self.owners.apart = off

    def rest(self):
        self.cut(False)
        wait_for(self.converged, "the addresses do not go back")
        time.sleep(self.REST)

    def disturb(self):
        self.cut(True)

    def converged(self):
        there = self.owners.has["node1"] == set(ADDRESSES) if self.off else self.owners.only("gw1")
        # the first starts a daemon that the fault has ended
        return passes.Pass.converged(self) and there and (self.off or self.w.hear_each_other(False))


class Takes(Move):
    name, at = "a gateway to which the addresses move", "node1"


class Releases(Move):
    name, at, drained = "a gateway that is drained", "node1", True


class TakesFar(Move):
    name, at, drained = "a gateway to which the addresses of the pod's node move", "gw1", True


class ReleasesFar(Move):
    name, at = "a gateway that gives the addresses back to the pod's node", "gw1"


CASES = (Takes, Releases, TakesFar, ReleasesFar, Seize)
