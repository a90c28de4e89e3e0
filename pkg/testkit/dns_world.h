/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The world of bpf_fixture.h with names: patterns that rules might have, answers on their
 * way to the pod, and what has been learned from them.
 */
#include "testkit/bpf_fixture.h"
#include "testkit/dns_message.h"

#define RESOLVER_V4 "192.0.2.53"
#define RESOLVER_V6 "2001:db8:53::53"
#define MIN_TTL	    30
#define GRACE	    60

/* Their ids are 1, 2, … */
#define NAMES_PATTERNS                                                                         \
	{                                                                                      \
		"api.example.com", "*.example.com", "*.a.example.com", "edge.cdn.example.net", \
			"*.example.net", "x", "*.1.example.org",                               \
	}
#define NAMES_N 7

void names_world(void); /* world(), with all that */
void names_pattern(const char *pattern, uint32_t id);
void names_forget(void); /* what was learned, all of it */

/* The message in a datagram from a resolver's address to the pod, of its family. */
void names_udp(struct packet *p, const char *from, const uint8_t *b, size_t n);
/* The verdict of slu_to_pod. */
uint32_t names_see(const struct packet *p);
void names_tell(const struct dns_message *m); /* by UDP from RESOLVER_V4 */

uint64_t names_counted(enum slu_names_count what);
/* Seconds from now for which the address is known under the id, rounded up; 0 = it is not. */
uint32_t names_left(const char *addr, uint32_t id);
/* Under exactly these patterns: bit i is id i + 1. */
uint32_t names_of(const char *addr);
uint32_t names_now(void); /* seconds of CLOCK_BOOTTIME */
