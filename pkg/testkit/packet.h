/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Frames for tests, header by header from the outside in; packet_finish() fills
 * in lengths and checksums. Bad frames are good ones changed through b[] after
 * that. Addresses and MACs are text, so that a test reads like a capture.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 2048

#define PACKET_TCP_FIN 0x01
#define PACKET_TCP_SYN 0x02
#define PACKET_TCP_ACK 0x10

struct packet {
	uint8_t b[PACKET_MAX];
	size_t len;
	size_t type_at; /* offset of the innermost ethertype */
	size_t ip;	/* offset of the IP header, 0 = none yet */
	size_t next_at; /* offset of the protocol field to patch */
	size_t l4;	/* offset of the transport header, 0 = none yet */
};

void packet_eth(struct packet *p, const char *src_mac, const char *dst_mac, uint16_t type);
void packet_vlan(struct packet *p, uint16_t tpid, uint16_t vid); /* after packet_eth; nests */
void packet_arp(struct packet *p, uint16_t op, const char *sha, const char *spa, const char *tpa);
void packet_ip(struct packet *p, const char *src, const char *dst); /* family by the text */
/* An IPv4 option block or an IPv6 extension header of len bytes (a multiple of 4 or 8, its first
 * two bytes next header and length are filled in for IPv6). */
void packet_ip_options(struct packet *p, size_t len);
void packet_ext(struct packet *p, uint8_t type, const void *body, size_t len);
void packet_fragment(struct packet *p, uint16_t offset, int more, uint32_t ident); /* in bytes */
void packet_udp(struct packet *p, uint16_t sport, uint16_t dport, size_t payload);
void packet_tcp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t flags);
void packet_icmp(struct packet *p, uint8_t type, uint8_t code, uint16_t id); /* v6 in IPv6 */
/* What an ICMP error is about: a UDP packet from src to dst, from its IP header on. */
void packet_quote(struct packet *p, const char *src, const char *dst, uint16_t port);
/* Neighbour discovery: target NULL = none; option type 0 = none. */
void packet_nd(struct packet *p, uint8_t type, const char *target, uint8_t option, const char *mac);
void packet_payload(struct packet *p, uint8_t proto, const void *data, size_t len);
void packet_finish(struct packet *p);
/* Packets in packets, as nodes exchange them; l4 NULL: a later fragment. */
bool packet_wraps(uint8_t proto, const uint8_t *l4);
