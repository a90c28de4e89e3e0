/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Random policies as YAML, the same for the same seed: gateways g0 to g4 of every sort
 * (g5 is missing), nodes n1 and n2, namespace n0, some destinations, small and large
 * (d6 is missing), some Services, some policies. Few bits of the prefixes vary, so that
 * they nest, meet and overlap. Schedules are about RANDOM_NOW, in UTC.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RANDOM_NOW 1790000000 /* 2026-09-21 14:13:20, a Monday */

struct policy_texts {
	char *docs[96];
	size_t n;
	/* of the one that is being written */
	char *buf;
	size_t len;
	FILE *f;
};

void random_seed(uint64_t value);
uint32_t random_below(uint32_t n);
void random_policies(struct policy_texts *t);
void random_policy(struct policy_texts *t, uint32_t i); /* one more, named p<i> */
/* Where its prefixes lie: an address that many of them hold, or just do not. */
void random_address(char *buf, size_t size);
/* Writes one policy or destination anew, adds a policy or takes one away. */
void random_edit(struct policy_texts *t);
char *policy_texts_join(const struct policy_texts *t);
void policy_texts_done(struct policy_texts *t);
