/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of the domain name system for tests, and a reader of them written straight from
 * RFC 1035, slow and plain: what the one in the kernel must agree with.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"

#define DNS_MESSAGE_MAX 16384

struct dns_message {
	uint8_t b[DNS_MESSAGE_MAX];
	size_t n;
	size_t question; /* offset of its name */
};

#define DNS_TYPE_A     1
#define DNS_TYPE_CNAME 5
#define DNS_TYPE_TXT   16
#define DNS_TYPE_AAAA  28

/* An answer without records to a question for name. */
void dns_answer(struct dns_message *m, const char *name);
/* A name where the message ends: as text ("\\." for a dot in a label), or a pointer. */
void dns_name(struct dns_message *m, const char *name);
void dns_pointer(struct dns_message *m, size_t to);
/* A record of an owner that was just put; counts it. The offset of its data. */
size_t dns_record(struct dns_message *m, uint16_t type, uint32_t ttl, const void *data, size_t len);
/* CNAME owner → target, both as text; owner NULL: the question's name, by a pointer. */
size_t dns_cname(struct dns_message *m, const char *owner, const char *target, uint32_t ttl);
void dns_addr(struct dns_message *m, const char *owner, const char *addr, uint32_t ttl);

/* ---- the reference ---- */

#define DNS_READ_ADDRS 512

struct dns_read {
	bool answered;	 /* an answer that says something */
	bool malformed;	 /* somewhere; what stands before it counts */
	char asked[256]; /* the name, in lower case; "" = fits no pattern */
	struct {
		struct slu_addr addr;
		bool v4_in_v6;
		uint32_t ttl; /* the least on the way, as the record says */
	} addrs[DNS_READ_ADDRS];
	size_t n_addrs;
};

/* Reads len bytes. */
void dns_read(const uint8_t *b, size_t len, struct dns_read *ret);
bool dns_pattern_fits(const char *pattern, const char *name);
