/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names of rules that the pod's namespace knows the destination under just now. */
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"
#include "policy/compile.h"
#include "policy/explain.h"

/* *ret: places in compiled_names, sorted, malloc'd. None when the kernel cannot be asked. */
void known_names(const char *bpffs, const struct compiled *c, const struct explain_query *q,
		 uint32_t **ret, size_t *ret_n);
