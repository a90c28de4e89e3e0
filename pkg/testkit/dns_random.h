/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers as chance or a fuzzer chooses them, many of them broken, into slu_to_pod in the kernel
 * and into the reference: afterwards the same addresses are known, under the same patterns, for as
 * long, and the same messages were found malformed.
 */
#include "testkit/dns_world.h"

/* below(n) chooses one of 0 … n - 1. */
void dns_random_make(struct dns_message *m, uint32_t (*below)(uint32_t n));

struct dns_judged {
	size_t learned; /* addresses */
	bool malformed;
};
/* NULL: the two agree; else in what they do not. What was learned is forgotten. */
const char *dns_random_judge(const struct dns_message *m, void (*tell)(const struct dns_message *m),
			     struct dns_judged *ret);
