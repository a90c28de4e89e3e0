/* SPDX-License-Identifier: Apache-2.0 */
/* What slinject says of system calls. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <sys/types.h>

/* Its name, or its number when it is none that we make. */
const char *call_name(__u64 nr);

/* A number that tells what one call does from what another of its name does: the
 * command of bpf, whether a descriptor is a file or a socket. */
long call_class(pid_t pid, __u64 nr, const __u64 *args);

/* A read or write of a file or a pipe, of at least two bytes. */
bool call_can_be_short(pid_t pid, __u64 nr, const __u64 *args);
