# SPDX-License-Identifier: Apache-2.0
"""A pinned BPF map whose keys are 32-bit numbers, read without any library: bpf(2)."""
import ctypes
import os
import platform
import struct

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOOKUP, GET = 1, 7  # BPF_MAP_LOOKUP_ELEM, BPF_OBJ_GET


class Map:
    """The first 32-bit number of an element's value: Map(path).number(key). size: of a value, at least."""

    def __init__(self, path, size=4096):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.key, self.value = ctypes.c_uint32(0), ctypes.create_string_buffer(size)
        name = ctypes.c_char_p(os.fsencode(path))
        self.fd = self.bpf(GET, struct.pack("QII", ctypes.cast(name, ctypes.c_void_p).value, 0, 0))

    def bpf(self, command, attributes):
        done = self.libc.syscall(SYS_BPF, command, ctypes.c_char_p(attributes), len(attributes))
        if done < 0:
            raise OSError(ctypes.get_errno(), "bpf")
        return done

    def number(self, key):
        self.key.value = key
        self.bpf(LOOKUP, struct.pack("IIQQQ", self.fd, 0, ctypes.addressof(self.key), ctypes.addressof(self.value), 0))
        return struct.unpack_from("I", self.value)[0]

    def close(self):
        os.close(self.fd)
