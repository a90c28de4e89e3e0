/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a child says, with an end to its time and to its words. */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct captured {
	char *out, *err; /* NUL-terminated */
	size_t out_len;
	int status; /* exit status; -1: it was ended */
	bool cut;   /* it had more to say than max */
};

/* Runs fn in a child, whose exit status is what fn returns. */
int capture(int (*fn)(void *data), void *data, size_t max, struct captured *ret, struct err *e);
/* Of a program that is found in PATH: argv ends with NULL. */
int capture_program(const char *const *argv, size_t max, struct captured *ret, struct err *e);
void captured_done(struct captured *c);
