/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The world of bpf_fixture.h with names: patterns that rules might have, answers on their
 * way to the pod, and what has been learned from them.
 */
#include <stdbool.h>

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

void names_world(void); /* world(), with all that: POD_GOVERNED's policy has them */
void names_pattern(const char *pattern, uint32_t id);
/* A rule of the policy has it, or with class 0 none. */
void names_class(const struct slu_policy *policy, uint32_t id, uint32_t class);
void names_forget(void);	    /* what was learned, all of it */
void names_tenant(uint32_t tenant); /* from now on the pod is of this namespace; at first of 0 */

/* The message in a datagram from a resolver's address to the pod, of its family. */
void names_udp(struct packet *p, const char *from, const uint8_t *b, size_t n);
/* The verdict of slu_to_pod. */
uint32_t names_see(const struct packet *p);
void names_tell(const struct dns_message *m); /* by UDP from RESOLVER_V4 */
/* The same by TCP, of a resolver's address: n bytes at b. */
struct names_segment {
	const char *from;
	uint16_t pod_port;
	uint8_t flags;
	uint32_t seq;
	const void *b;
	size_t n;
};
uint32_t names_see_segment(const struct names_segment *s);

uint64_t names_counted(enum slu_names_count what);
/* What the rest speaks of is known to the pod's present namespace. */
bool names_known(const char *addr, struct slu_named *ret);
void names_known_set(const char *addr, const struct slu_named *v); /* in place of what is there */
/* Seconds from now for which the address is known under the id, rounded up; 0 = it is not. */
uint32_t names_left(const char *addr, uint32_t id);
/* Under exactly these patterns: bit i is id i + 1. */
uint32_t names_of(const char *addr);
uint32_t names_now(void); /* seconds of CLOCK_BOOTTIME */
