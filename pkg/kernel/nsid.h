/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The number by which one network namespace knows another (RTM_GETNSID): what
 * IFLA_LINK_NETNSID says. Only with it can one tell whether a veth's peer is in
 * this namespace or has, in some third one, the same index as a device here.
 */
#include "base/err.h"

/* -ENOENT when namespace `in` has no number for namespace `of`. */
int nsid_get(int in, int of, int *ret, struct err *e);
