#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small client of the Kubernetes container runtime interface (crictl is not in Debian).

cri.py SOCKET ready                       exit 0 if the runtime says its network is ready
cri.py SOCKET run NAMESPACE/NAME [OPTION…]  RunPodSandbox, prints its id
cri.py SOCKET stop|remove ID              StopPodSandbox, RemovePodSandbox
cri.py SOCKET list                        ids and states
cri.py SOCKET ip ID                       the sandbox's addresses
cri.py SOCKET network                     the network configuration in use, as JSON

Options of run: cgroup=PATH, port=HOST:CONTAINER, annotation=KEY=VALUE, uid=UID.

Only a handful of fields of runtime.v1 (k8s.io/cri-api, api.proto) are needed, so the
messages are written out here by hand: a message is a list of (field number, value).
"""
import sys
import uuid

import grpc

SERVICE = "/runtime.v1.RuntimeService/"
STATES = {0: "ready", 1: "notready"}


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    """Each value: int (varint), str, or bytes (an encoded message)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def parse(data):
    """A message as {field number: [value, …]}, values ints or bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        elif tag & 7 == 2:
            length, at = read_varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            sys.exit(f"cri: wire type {tag & 7} in an answer")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def first(fields, number, otherwise=b""):
    return fields.get(number, [otherwise])[0]


class Runtime:
    def __init__(self, socket):
        self.channel = grpc.insecure_channel("unix://" + socket)

    def call(self, name, *fields):
        stub = self.channel.unary_unary(SERVICE + name)  # bytes in, bytes out
        return parse(stub(message(*fields), timeout=60))


def sandbox_config(pod, options):
    namespace, hostname = pod.split("/")
    uid, fields = str(uuid.uuid4()), [(2, hostname)]
    for option in options:
        key, _, value = option.partition("=")
        if key == "uid":
            uid = value
        elif key == "port":
            host, container = value.split(":")
            fields.append((5, message((2, int(container)), (3, int(host)))))
        elif key == "annotation":
            name, _, text = value.partition("=")
            fields.append((7, message((1, name), (2, text))))
        elif key == "cgroup":
            fields.append((8, message((1, value))))
        else:
            sys.exit(f"cri: {option}: cgroup=, port=, annotation= or uid=")
    return message((1, message((1, hostname), (2, uid), (3, namespace))), *fields)


def ready(runtime):
    status = parse(first(runtime.call("Status"), 1))
    for condition in map(parse, status.get(1, [])):
        if first(condition, 1) == b"NetworkReady":
            print(first(condition, 4).decode())
            return 0 if first(condition, 2, 0) else 1
    return 1


def run(runtime, pod, *options):
    print(first(runtime.call("RunPodSandbox", (1, sandbox_config(pod, options))), 1).decode())


def stop(runtime, sandbox):
    runtime.call("StopPodSandbox", (1, sandbox))


def remove(runtime, sandbox):
    runtime.call("RemovePodSandbox", (1, sandbox))


def show(runtime):
    for item in map(parse, runtime.call("ListPodSandbox").get(1, [])):
        print(first(item, 1).decode(), STATES.get(first(item, 3, 0)))


def addresses(runtime, sandbox):
    status = parse(first(runtime.call("PodSandboxStatus", (1, sandbox)), 1))
    network = parse(first(status, 5))
    for address in [first(network, 1)] + [first(parse(ip), 1) for ip in network.get(2, [])]:
        print(address.decode())


def network(runtime):
    for pair in map(parse, runtime.call("Status", (1, 1)).get(2, [])):
        if first(pair, 1) == b"cniconfig":
            print(first(pair, 2).decode())


COMMANDS = {"ready": ready, "network": network, "run": run, "stop": stop, "remove": remove, "list": show,
            "ip": addresses}


def main(arguments):
    if len(arguments) < 2 or arguments[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        return COMMANDS[arguments[1]](Runtime(arguments[0]), *arguments[2:])
    except grpc.RpcError as error:
        sys.exit(f"cri: {arguments[1]}: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
