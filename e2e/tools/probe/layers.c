/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from words, outermost first:
 *	eth:SRC,DST[,TYPE]   vlan:ID[,TPID]
 *ip:SRC,DST[,PROTO][,frag=UNITS][,more][,ttl=N][,lsrr=HOP] udp:SPORT,DPORT   tcp:SPORT,DPORT,FLAGS
 *(S A R F P)   icmp:TYPE,CODE[,ID] (v6 too)
 *	arp:request|reply,SENDER-MAC,SENDER-IP,TARGET-MAC,TARGET-IP
 *	na:TARGET,MAC   ra   redirect:TARGET,DESTINATION   vxlan:VNI   data:TEXT   fill:N
 * Going out, headers are laid one after the other; then, from the innermost back,
 * what depends on the rest is filled in: types, lengths, checksums.
 */
#include "probe.h"

#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 16
#define MAX_ARGS   8

enum kind { ETH, VLAN, IP4, IP6, UDP, TCP, ICMP, ARP, NDP, VXLAN, DATA };

struct layer {
	enum kind kind;
	uint8_t *at;
	size_t len;    /* of the header */
	uint16_t tpid; /* VLAN */
	bool fixed;    /* the type or protocol was given */
	bool fragment; /* IP4: no checksum of what is inside */
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void mac_of(const char *text, uint8_t *ret)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", ret, ret + 1, ret + 2, ret + 3, ret + 4,
		   ret + 5) != 6)
		fail("'%s' is not a MAC", text);
}

static void v4_of(const char *text, uint8_t *ret)
{
	if (inet_pton(AF_INET, text, ret) != 1)
		fail("'%s' is not an IPv4 address", text);
}

static void v6_of(const char *text, uint8_t *ret)
{
	if (inet_pton(AF_INET6, text, ret) != 1)
		fail("'%s' is not an IPv6 address", text);
}

static void eth_put(struct layer *l, char **a)
{
	l->kind = ETH;
	l->len = 14;
	mac_of(a[1], l->at);
	mac_of(a[0], l->at + 6);
	if ((l->fixed = a[2] != NULL))
		put16(l->at + 12, (unsigned)number_of(a[2]));
}

static void vlan_put(struct layer *l, char **a)
{
	l->kind = VLAN;
	l->len = 4;
	l->tpid = a[1] ? (uint16_t)number_of(a[1]) : ETH_P_8021Q;
	put16(l->at, (unsigned)number_of(a[0]));
}

static void ip6_put(struct layer *l, char **a)
{
	l->kind = IP6;
	l->len = 40;
	l->at[0] = 0x60;
	l->at[7] = 64;
	v6_of(a[0], l->at + 8);
	v6_of(a[1], l->at + 24);
	if ((l->fixed = a[2] != NULL))
		l->at[6] = (uint8_t)number_of(a[2]);
}

/* A loose source route of one hop, and a byte of padding. */
static void lsrr_put(struct layer *l, const char *hop)
{
	static const uint8_t head[] = {131, 7, 4};

	memcpy(l->at + 20, head, sizeof(head));
	v4_of(hop, l->at + 20 + sizeof(head));
	l->at[0] = 0x47;
	l->len = 28;
}

static void ip_put(struct layer *l, char **a)
{
	unsigned fragment = 0;

	if (strchr(a[0], ':')) {
		ip6_put(l, a);
		return;
	}
	l->kind = IP4;
	l->len = 20;
	l->at[0] = 0x45;
	l->at[8] = 64;
	put16(l->at + 4, 0x5347);
	v4_of(a[0], l->at + 12);
	v4_of(a[1], l->at + 16);
	for (int i = 2; a[i]; i++) {
		if (!strncmp(a[i], "frag=", 5))
			fragment |= (unsigned)number_of(a[i] + 5);
		else if (!strcmp(a[i], "more"))
			fragment |= 0x2000;
		else if (!strncmp(a[i], "ttl=", 4))
			l->at[8] = (uint8_t)number_of(a[i] + 4);
		else if (!strncmp(a[i], "lsrr=", 5))
			lsrr_put(l, a[i] + 5);
		else
			l->at[9] = (uint8_t)number_of(a[i]), l->fixed = true;
	}
	l->fragment = fragment != 0;
	put16(l->at + 6, fragment);
}

static void udp_put(struct layer *l, char **a)
{
	l->kind = UDP;
	l->len = 8;
	put16(l->at, (unsigned)number_of(a[0]));
	put16(l->at + 2, (unsigned)number_of(a[1]));
}

static void tcp_put(struct layer *l, char **a)
{
	static const char flags[] = "FSRPA";

	l->kind = TCP;
	l->len = 20;
	put16(l->at, (unsigned)number_of(a[0]));
	put16(l->at + 2, (unsigned)number_of(a[1]));
	l->at[7] = 1;
	l->at[12] = 0x50;
	for (const char *c = a[2] ? a[2] : "S"; *c && strchr(flags, *c); c++)
		l->at[13] |= (uint8_t)(1u << (strchr(flags, *c) - flags));
	put16(l->at + 14, 64240);
}

static void icmp_put(struct layer *l, char **a)
{
	l->kind = ICMP;
	l->len = 8;
	l->at[0] = (uint8_t)number_of(a[0]);
	l->at[1] = a[1] ? (uint8_t)number_of(a[1]) : 0;
	put16(l->at + 4, a[1] && a[2] ? (unsigned)number_of(a[2]) : 1);
}

static void arp_put(struct layer *l, char **a)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0};

	l->kind = ARP;
	l->len = 28;
	memcpy(l->at, head, sizeof(head));
	l->at[7] = !strcmp(a[0], "reply") ? 2 : 1;
	mac_of(a[1], l->at + 8);
	v4_of(a[2], l->at + 14);
	mac_of(a[3], l->at + 18);
	v4_of(a[4], l->at + 24);
}

static void na_put(struct layer *l, char **a)
{
	l->kind = NDP;
	l->len = 32;
	l->at[0] = 136;
	l->at[4] = 0x20;
	v6_of(a[0], l->at + 8);
	l->at[24] = 2;
	l->at[25] = 1;
	mac_of(a[1], l->at + 26);
}

static void ra_put(struct layer *l, char **a)
{
	l->kind = NDP;
	l->len = 16;
	l->at[0] = 134;
	l->at[4] = 64;
	put16(l->at + 6, 1800);
}

static void redirect_put(struct layer *l, char **a)
{
	l->kind = NDP;
	l->len = 40;
	l->at[0] = 137;
	v6_of(a[0], l->at + 8);
	v6_of(a[1], l->at + 24);
}

static void vxlan_put(struct layer *l, char **a)
{
	long vni = number_of(a[0]);

	l->kind = VXLAN;
	l->len = 8;
	l->at[0] = 0x08;
	l->at[4] = (uint8_t)(vni >> 16);
	put16(l->at + 5, (unsigned)vni & 0xffff);
}

static void data_put(struct layer *l, char **a)
{
	l->kind = DATA;
	l->len = a[0] ? strlen(a[0]) : 0;
	memcpy(l->at, a[0] ? a[0] : "", l->len);
}

static void fill_put(struct layer *l, char **a)
{
	l->kind = DATA;
	l->len = (size_t)number_of(a[0]);
	memset(l->at, 'f', l->len);
}

static const struct {
	const char *name;
	void (*put)(struct layer *l, char **args);
	int n_args; /* at least */
} makers[] = {
	{"eth", eth_put, 2},	       {"vlan", vlan_put, 1},	{"ip", ip_put, 2},
	{"udp", udp_put, 2},	       {"tcp", tcp_put, 2},	{"icmp", icmp_put, 1},
	{"arp", arp_put, 5},	       {"na", na_put, 2},	{"ra", ra_put, 0},
	{"redirect", redirect_put, 2}, {"vxlan", vxlan_put, 1}, {"data", data_put, 0},
	{"fill", fill_put, 1},
};

static void layer_put(struct layer *l, char *spec)
{
	char *args[MAX_ARGS + 1] = {NULL}, *rest = strchr(spec, ':'), *save = NULL;
	size_t name = rest ? (size_t)(rest - spec) : strlen(spec);
	int n = 0;

	for (char *word = rest ? strtok_r(rest + 1, ",", &save) : NULL; word && n < MAX_ARGS;
	     word = strtok_r(NULL, ",", &save))
		args[n++] = word;
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (strlen(makers[i].name) == name && !memcmp(makers[i].name, spec, name)) {
			if (n < makers[i].n_args)
				fail("%.*s: %d arguments are too few", (int)name, spec, n);
			makers[i].put(l, args);
			return;
		}
	fail("unknown layer '%.*s'", (int)name, spec);
}

static uint32_t sum(uint32_t start, const uint8_t *p, size_t n)
{
	for (; n > 1; n -= 2, p += 2)
		start += (uint32_t)p[0] << 8 | p[1];
	return n ? start + ((uint32_t)p[0] << 8) : start;
}

static unsigned fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

static uint32_t pseudo(const struct layer *ip, unsigned proto, size_t len)
{
	uint32_t s = proto + (uint32_t)len;

	return ip->kind == IP4 ? sum(s, ip->at + 12, 8) : sum(s, ip->at + 8, 32);
}

static unsigned ethertype_of(const struct layer *l)
{
	switch (l->kind) {
	case VLAN:
		return l->tpid;
	case IP4:
		return ETH_P_IP;
	case IP6:
		return ETH_P_IPV6;
	case ARP:
		return ETH_P_ARP;
	default:
		return 0x88b5; /* for experiments */
	}
}

static unsigned proto_of(const struct layer *l, enum kind ip)
{
	switch (l->kind) {
	case UDP:
		return IPPROTO_UDP;
	case TCP:
		return IPPROTO_TCP;
	case ICMP:
	case NDP:
		return ip == IP4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	case IP4:
		return IPPROTO_IPIP;
	case IP6:
		return IPPROTO_IPV6;
	default:
		return IPPROTO_RAW;
	}
}

static void checksum(struct layer *l, const struct layer *ip, size_t at, size_t len)
{
	unsigned proto = proto_of(l, ip->kind), c;
	bool plain = proto == IPPROTO_ICMP; /* without a pseudo header */

	if (ip->fragment)
		return;
	put16(l->at + at, 0);
	c = fold(sum(plain ? 0 : pseudo(ip, proto, len), l->at, len));
	put16(l->at + at, c ? c : 0xffff);
}

/* What l's fields say about all that follows, up to end. next and ip may be NULL. */
static void layer_finish(struct layer *l, const struct layer *next, const struct layer *ip,
			 const uint8_t *end)
{
	size_t len = (size_t)(end - l->at);

	if (l->kind == ETH && next && !l->fixed) {
		put16(l->at + 12, ethertype_of(next));
	} else if (l->kind == VLAN && next) {
		put16(l->at + 2, ethertype_of(next));
	} else if (l->kind == IP4) {
		put16(l->at + 2, (unsigned)len);
		if (next && !l->fixed)
			l->at[9] = (uint8_t)proto_of(next, IP4);
		put16(l->at + 10, fold(sum(0, l->at, l->len)));
	} else if (l->kind == IP6) {
		put16(l->at + 4, (unsigned)len - 40);
		if (next && !l->fixed)
			l->at[6] = (uint8_t)proto_of(next, IP6);
		if (next && next->kind == NDP)
			l->at[7] = 255;
	} else if (l->kind == UDP) {
		put16(l->at + 4, (unsigned)len);
		if (ip)
			checksum(l, ip, 6, len);
	} else if (l->kind == TCP && ip) {
		checksum(l, ip, 16, len);
	} else if ((l->kind == ICMP || l->kind == NDP) && ip) {
		checksum(l, ip, 2, len);
	}
}

size_t layers_build(char **specs, int n, uint8_t *buf, size_t cap)
{
	struct layer layers[MAX_LAYERS] = {0};
	uint8_t *end = buf;

	memset(buf, 0, cap);
	if (n > MAX_LAYERS)
		fail("at most %d layers", MAX_LAYERS);
	for (int i = 0; i < n; i++) {
		if ((size_t)(end - buf) + 1600 > cap)
			fail("the frame is too long");
		layers[i].at = end;
		layer_put(&layers[i], specs[i]);
		end += layers[i].len;
	}
	for (int i = n - 1; i >= 0; i--) {
		bool in_ip = i > 0 && (layers[i - 1].kind == IP4 || layers[i - 1].kind == IP6);

		layer_finish(&layers[i], i + 1 < n ? &layers[i + 1] : NULL,
			     in_ip ? &layers[i - 1] : NULL, end);
	}
	return (size_t)(end - buf);
}
