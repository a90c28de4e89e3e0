/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How the reference reads a frame. IPv4 addresses are ::ffff:a.b.c.d here, too. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/bpf_fixture.h"

struct wire_ip {
	bool six;
	uint8_t src[16], dst[16];
	uint8_t proto;
	const uint8_t *l4;
	size_t l4_len;
	bool in_fragment, later; /* a fragment at all; not the first one */
	bool source_route;	 /* or segments left: goes elsewhere first */
};

uint16_t wire_be16(const uint8_t *b);
bool wire_is(const uint8_t a[16], const char *text);
bool wire_in(const uint8_t a[16], const char *text, unsigned int bits);
bool wire_mapped(const uint8_t a[16]);
bool wire_has_ports(uint8_t proto);
/* An Ethernet frame, from its MACs on. False = malformed. */
bool wire_parse(const uint8_t *b, size_t len, struct wire_ip *ret);
