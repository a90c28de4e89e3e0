/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between announce.c, its fuzzer and announce_frame.c: the frames themselves. PURE. */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"

#define ND_SOLICIT    135
#define ND_ADVERTISE  136
#define ND_OVERRIDE   0x20
#define OPT_TARGET_LL 2
#define MAC_LEN	      6

struct arp_frame {
	struct ethhdr eth;
	uint16_t hrd, pro;
	uint8_t hln, pln;
	uint16_t op;
	uint8_t sender_mac[MAC_LEN], sender_ip[4], target_mac[MAC_LEN], target_ip[4];
} __attribute__((packed));

struct nd_frame {
	struct ethhdr eth;
	uint32_t version;
	uint16_t payload;
	uint8_t next, hops;
	uint8_t src[16], dst[16];
	/* ICMPv6 */
	uint8_t type, code;
	uint16_t csum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t opt_type, opt_len, opt_mac[MAC_LEN]; /* advertisement only */
} __attribute__((packed));

#define ND_OPTION_LEN 8
#define ND_BARE_LEN   (sizeof(struct nd_frame) - ND_OPTION_LEN)
#define ICMP_OFFSET   offsetof(struct nd_frame, type)

_Static_assert(sizeof(struct arp_frame) == 42, "RFC 826 on Ethernet");
_Static_assert(ND_BARE_LEN == 14 + 40 + 24, "RFC 4861 4.3");

union frame {
	struct ethhdr eth;
	struct arp_frame arp;
	struct nd_frame nd;
	uint8_t bytes[256];
};

/* A probe for addr, or its announcement; returns the length. */
size_t segment_frame_make(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
			  bool announce);
/*
 * Whether a frame (an ARP one, a neighbour solicitation or advertisement) says that somebody else
 * has the address, or is probing for it, too; mac is then the other's.
 */
bool segment_frame_arp(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN]);
bool segment_frame_nd(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN]);
