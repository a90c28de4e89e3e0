/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Main CNIs whose own eBPF on a pod's host side takes packets past the stack, or
 * writes the whole mark: whatever stands before it, neither rule nor nftables
 * would see our decision. They are known by the names of their programs.
 */
#include "base/err.h"
#include "kernel/rtnl.h"

/* 1 and the CNI's name when one of them is (or, by its pins, will be) on that interface; 0; -errno.
 */
int bypass_find(struct rtnl *r, const struct link_info *host, const char **ret_who, struct err *e);
