/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /proc/sys/net of the calling thread's namespace, never written: in a container it is read-only.
 */
#include "base/err.h"

/* path below /proc/sys, e.g. "net/ipv4/conf/sluice0/rp_filter". 0 or -errno. */
int sysctl_get(const char *path, int *ret, struct err *e);
