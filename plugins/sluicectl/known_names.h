/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names of rules that the kernel knows an address under just now. */
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"
#include "policy/compile.h"

/* *ret: places in compiled_names, sorted, malloc'd. None when the kernel cannot be asked. */
void known_names(const char *bpffs, const struct compiled *c, struct addr dst, uint32_t **ret,
		 size_t *ret_n);
