#!/usr/bin/env python3
"""Presses Ctrl-C at a command of this tree and says what it leaves behind.

    e2e/tools/ctrlc.py [--at SECONDS,SECONDS…] [--jobs N] -- COMMAND…

For each moment the command runs at a terminal of its own, as a person's does, in namespaces
of its own (mounts, processes): its /run/netns and its TMPDIR are empty, so whatever is in
there afterwards, or is still running, it has left behind; and it ends with the namespaces.
A line for each moment; exit 1 when one left something or did not say that it was interrupted.
"""
import argparse
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

PATIENCE = 120  # seconds for its end; one that cleans up takes a few
OURS = ("BATS_", "SLUICE_E2E_DIR", "SLUICE_LAB")  # what a test has in its environment
LINGERS = 5  # seconds for a process that has been killed to be gone
# as make says it, also when it loses count of its children over it, bats, and Python
INTERRUPTED = re.compile(rb"Error 130|\] Interrupt|wait: No child processes|Received SIGINT|KeyboardInterrupt")


def options():
    p = argparse.ArgumentParser(description="Presses Ctrl-C and looks what is left.")
    p.add_argument("--at", default="1", help="seconds after the start, comma separated (default: %(default)s)")
    p.add_argument("--jobs", type=int, default=2, help="moments at a time (default: %(default)s)")
    p.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    p.add_argument("command", nargs="+")
    return p.parse_args()


def at_terminal(command, moment):
    """Its output, its wait status, and when the key was pressed (None: it had ended before)."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            # as a shell starts it, and not as somebody's job in the background
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(command[0], command, {k: v for k, v in os.environ.items() if not k.startswith(OURS)})
        finally:
            os._exit(127)
    start, pressed, output = time.monotonic(), None, b""
    while time.monotonic() < start + moment + PATIENCE:
        left = start + moment - time.monotonic()
        if pressed is None and left <= 0:
            pressed = time.monotonic()
            os.write(terminal, b"\x03")
        if select.select([terminal], [], [], min(0.1, max(left, 0)) if pressed is None else 0.1)[0]:
            try:
                output += os.read(terminal, 65536)
            except OSError:  # nobody has it open any more
                break
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended and not select.select([terminal], [], [], 0)[0]:
            break
    else:
        return output, None, pressed
    return output, os.waitpid(pid, 0)[1], pressed


def running():
    """Who else is here: we are the first process of this process namespace."""
    others = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if int(folder.name) != os.getpid() and state != "Z":
                others[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
    return others


def mounts():
    return {line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()}


def left_behind(tmp, mounted):
    end = time.monotonic() + LINGERS
    while running() and time.monotonic() < end:
        time.sleep(0.05)
    left = [f"process {line}" for line in running().values()]
    left += [f"namespace {name}" for name in os.listdir("/run/netns")]
    left += [f"file {path}" for path in pathlib.Path(tmp).iterdir()]
    return left + [f"mount {point}" for point in mounts() - mounted if not point.startswith("/run/netns")]


def inside(moment, command):
    # a mount needs a folder, and whoever makes one may leave it behind
    tmp = next(folder for folder in ("/mnt", "/media", "/srv") if not os.getcwd().startswith(folder))
    os.makedirs("/run/netns", exist_ok=True)
    for folder in ("/run/netns", tmp):
        subprocess.run(["mount", "-t", "tmpfs", "ctrlc", folder], check=True)
    os.environ["TMPDIR"] = tmp
    mounted = mounts()
    output, status, pressed = at_terminal(command, moment)
    wrong = left_behind(tmp, mounted)
    said = status is not None and (os.waitstatus_to_exitcode(status) in (130, -2) or INTERRUPTED.search(output))
    if status is None:
        wrong.append(f"it does not end within {PATIENCE} s")
    elif not said and not (os.waitstatus_to_exitcode(status) == 0 and pressed is None):
        wrong.append(f"it ends with {os.waitstatus_to_exitcode(status)}, not as interrupted")
    what = "interrupted" if pressed else "at its end"
    print(f"{'not ok' if wrong else 'ok'} - {moment:g} s, {what}", *(f"# {w}" for w in wrong), sep="\n")
    if wrong:
        print("\n".join(f"#   {line}" for line in output.decode(errors="replace").splitlines()[-15:]))
    return bool(wrong)


def main():
    opts = options()
    if opts.inside is not None:
        return inside(opts.inside, opts.command)
    todo, running_ones, failed = [float(at) for at in opts.at.split(",")], [], 0
    while todo or running_ones:
        while todo and len(running_ones) < opts.jobs:
            running_ones.append(subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                 "--kill-child", "--mount-proc", sys.executable, __file__, "--inside", str(todo.pop(0)), "--",
                 *opts.command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
        first = running_ones.pop(0)
        print(first.communicate()[0], end="", flush=True)
        failed += first.returncode != 0
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
