/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Entering another network namespace to open one socket, and nothing else: the
 * window between setns and setns back allocates nothing, logs nothing, starts no
 * thread. If the way back fails the process aborts.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Opens path (an nsfs file). -ENOENT when gone; -EINVAL when it is not a network namespace. fd is
 * O_CLOEXEC. */
int netns_open(const char *path, int *ret_fd, struct err *e);
/* The calling thread's own. */
int netns_open_self(int *ret_fd, struct err *e);
/* st_ino, the identity that records keep beside the path. */
int netns_id(int fd, uint64_t *ret_ino);
/* socket(family, type | SOCK_CLOEXEC, protocol) inside ns; -errno. */
int netns_socket(int ns, int family, int type, int protocol, int *ret_fd, struct err *e);
