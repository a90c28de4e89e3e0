/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /proc/sys/net of the calling thread's namespace. Only ever written for our own devices. */
#include "base/err.h"

/* path below /proc/sys, e.g. "net/ipv4/conf/sluice0/rp_filter". 0 or -errno. */
int sysctl_get(const char *path, int *ret, struct err *e);
int sysctl_set(const char *path, int value, struct err *e); /* writes only when different */
