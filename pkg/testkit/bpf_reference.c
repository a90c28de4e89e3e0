/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/bpf_reference.h"

#include <arpa/inet.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <string.h>

#define EXT_MAX	    8
#define ND_OPTS_MAX 8
#define SHIFT	    21

struct ip {
	bool six;
	uint8_t src[16], dst[16];
	uint8_t proto;
	const uint8_t *l4;
	size_t l4_len;
	bool in_fragment, later; /* a fragment at all; not the first one */
	bool source_route;	 /* or segments left: goes elsewhere first */
};

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static bool is(const uint8_t a[16], const char *text)
{
	struct slu_addr w = world_addr(text);

	return memcmp(a, &w, 16) == 0;
}

static bool in(const uint8_t a[16], const char *text, unsigned int bits)
{
	struct slu_addr w = world_addr(text);
	const uint8_t *b = (const uint8_t *)&w;

	if (!strchr(text, ':'))
		bits += 96;
	for (unsigned int i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

static bool mapped(const uint8_t a[16])
{
	return in(a, "0.0.0.0", 0);
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static bool multicast(const uint8_t a[16])
{
	return in(a, "224.0.0.0", 4) || is(a, "255.255.255.255") || a[0] == 0xff;
}

/* ---- parsing: false = malformed ---- */

/* RFC 791: whether an option says where to go, or what follows cannot be told any more. */
static bool options_route(const uint8_t *o, size_t len)
{
	for (size_t i = 0; i < len && o[i] != 0;) {
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (o[i] == 131 || o[i] == 137)
			return true;
		if (i + 1 >= len || o[i + 1] < 2)
			return true;
		i += o[i + 1];
	}
	return false;
}

static bool transport_there(const struct ip *p)
{
	if (p->later)
		return true;
	return p->l4_len >= 4 || !(has_ports(p->proto) || is_icmp(p->proto));
}

static bool parse4(const uint8_t *b, size_t len, struct ip *ret)
{
	size_t head, total;

	if (len < 20 || b[0] >> 4 != 4)
		return false;
	head = (b[0] & 0xf) * 4u;
	total = be16(b + 2);
	if (head < 20 || total < head || total > len)
		return false;
	memset(ret->src, 0, 10);
	memset(ret->src + 10, 0xff, 2);
	memcpy(ret->dst, ret->src, 12);
	memcpy(ret->src + 12, b + 12, 4);
	memcpy(ret->dst + 12, b + 16, 4);
	ret->proto = b[9];
	ret->source_route = options_route(b + 20, head - 20);
	ret->later = be16(b + 6) & 0x1fff;
	ret->in_fragment = be16(b + 6) & 0x3fff;
	ret->l4 = b + head;
	ret->l4_len = total - head;
	return transport_there(ret);
}

static bool is_extension(uint8_t type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_FRAGMENT ||
	       type == IPPROTO_AH || type == IPPROTO_DSTOPTS;
}

/* One extension header at ret->l4, whose type is ret->proto. */
static bool extension(struct ip *ret)
{
	const uint8_t *h = ret->l4;
	size_t len;

	if (ret->l4_len < 8)
		return false;
	len = ret->proto == IPPROTO_AH	       ? (h[1] + 2u) * 4
	      : ret->proto == IPPROTO_FRAGMENT ? 8
					       : (h[1] + 1u) * 8;
	if (len > ret->l4_len)
		return false;
	if (ret->proto == IPPROTO_ROUTING && h[2] == 0)
		return false;
	if (ret->proto == IPPROTO_ROUTING && h[3] != 0)
		ret->source_route = true;
	if (ret->proto == IPPROTO_FRAGMENT) {
		ret->in_fragment = true;
		ret->later |= (be16(h + 2) & 0xfff8) != 0;
	}
	ret->proto = h[0];
	ret->l4 += len;
	ret->l4_len -= len;
	return true;
}

static bool parse6(const uint8_t *b, size_t len, struct ip *ret)
{
	size_t payload;

	if (len < 40 || b[0] >> 4 != 6)
		return false;
	payload = be16(b + 4);
	if (!payload && b[6] == IPPROTO_HOPOPTS) /* RFC 2675: the frame says how long it is */
		payload = len - 40;
	if (payload > len - 40)
		return false;
	memcpy(ret->src, b + 8, 16);
	memcpy(ret->dst, b + 24, 16);
	if (mapped(ret->src) || mapped(ret->dst))
		return false;
	ret->six = true;
	ret->proto = b[6];
	ret->l4 = b + 40;
	ret->l4_len = payload;
	for (int n = 0; is_extension(ret->proto) && !ret->later; n++)
		if (n == EXT_MAX || !extension(ret))
			return false;
	return transport_there(ret);
}

static bool parse(const uint8_t *b, size_t len, struct ip *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (be16(b + 12) == 0x0800)
		return parse4(b + 14, len - 14, ret);
	return be16(b + 12) == 0x86dd && parse6(b + 14, len - 14, ret);
}

/* ---- is it the pod's own? 0 or a reason ---- */

static bool pods_mac(const uint8_t *b)
{
	struct ether_addr a;

	return memcmp(b, ether_aton_r(POD_MAC, &a), 6) == 0;
}

static bool pods_addr(const uint8_t a[16])
{
	return is(a, POD_V4) || is(a, POD_V6) || is(a, POD_LINK_LOCAL);
}

static unsigned int arp_check(const uint8_t *b, size_t len, bool exempt)
{
	const uint8_t *a = b + 14;
	uint8_t spa[16] = {[10] = 0xff, [11] = 0xff};
	uint16_t op;

	if (len < 14 + 28 || be16(a) != 1 || be16(a + 2) != 0x0800 || a[4] != 6 || a[5] != 4)
		return SLU_DROP_MALFORMED;
	op = be16(a + 6);
	if (op != 1 && op != 2)
		return SLU_DROP_MALFORMED;
	if (exempt)
		return 0;
	memcpy(spa + 12, a + 14, 4);
	if (!pods_mac(a + 8))
		return SLU_DROP_SPOOFED_ARP;
	return is(spa, POD_V4) || (op == 1 && is(spa, "0.0.0.0")) ? 0 : SLU_DROP_SPOOFED_ARP;
}

static bool is_icmp6(const struct ip *p)
{
	return p->six && p->proto == IPPROTO_ICMPV6 && !p->later;
}

/* RFC 4861 6.1.1, 7.1 and RFC 4862 5.4.3: options end the message. */
static unsigned int nd_options(const uint8_t *o, size_t len, bool exempt)
{
	int n = 0;

	for (; len; n++) {
		if (n == ND_OPTS_MAX || len < 8 || o[1] == 0)
			return SLU_DROP_MALFORMED;
		if ((o[0] == 1 || o[0] == 2) && !exempt && !pods_mac(o + 2))
			return SLU_DROP_SPOOFED_ARP;
		if (o[1] * 8u > len)
			return SLU_DROP_MALFORMED;
		len -= o[1] * 8u;
		o += o[1] * 8u;
	}
	return 0;
}

static unsigned int nd_check(const struct ip *p, bool exempt)
{
	uint8_t type = p->l4[0];
	size_t fixed = type == 133 ? 8 : 24;
	bool unspecified = is(p->src, "::");

	if (!is_icmp6(p) || type < 133 || type > 137)
		return 0;
	if (type == 134 || type == 137)
		return SLU_DROP_ROUTER_ADVERT;
	if (p->in_fragment || p->l4_len < fixed)
		return SLU_DROP_MALFORMED;
	if (!exempt && (type == 136 || (type == 135 && unspecified)) && !pods_addr(p->l4 + 8))
		return SLU_DROP_SPOOFED_ARP;
	return nd_options(p->l4 + fixed, p->l4_len - fixed, exempt);
}

/* What may come from nobody: DHCP; detection of duplicates, solicitations, MLD reports. */
static bool nobody_may(const struct ip *p)
{
	if (p->later)
		return false;
	if (!p->six)
		return !p->in_fragment && is(p->src, "0.0.0.0") && is(p->dst, "255.255.255.255") &&
		       p->proto == IPPROTO_UDP && be16(p->l4) == 68 && be16(p->l4 + 2) == 67;
	if (!is(p->src, "::") || p->dst[0] != 0xff || p->proto != IPPROTO_ICMPV6)
		return false;
	return p->l4[0] == 133 || p->l4[0] == 135 || p->l4[0] == 131 || p->l4[0] == 132 ||
	       p->l4[0] == 143;
}

static unsigned int source_check(const struct ip *p, bool exempt)
{
	if (!exempt && !pods_addr(p->src) && !nobody_may(p))
		return SLU_DROP_SPOOFED_SOURCE;
	return nd_check(p, exempt);
}

/* ---- where does it go? an id or a reason, as in the mark ---- */

static bool inside(const struct ip *p)
{
	if (in(p->dst, "10.0.0.0", 8) || in(p->dst, "fd00::", 8) || in(p->dst, "172.16.0.0", 12))
		return true;
	if (!is(p->dst, "192.0.2.53") && !is(p->dst, "2001:db8:53::53"))
		return false;
	return !p->later && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) &&
	       be16(p->l4 + 2) == 53;
}

/* What the world's policy says of identities; spread is 0. */
static uint32_t identity(int net, bool six, bool exempt)
{
	if (exempt)
		return SLU_DROP_NOT_PERMITTED;
	switch (net) {
	case NET_LOCAL:
	case NET_SPREAD:
		return net == NET_LOCAL && six ? 17 : 16;
	case NET_REMOTE:
		return WORLD_DIVERT | (six ? 19 : 18);
	case NET_NO_OWNER:
		return SLU_DROP_NO_OWNER;
	case NET_FAMILY:
		return SLU_DROP_FAMILY;
	case NET_NO_PICK:
	case NET_FREE_ID:
		return SLU_DROP_NO_ID;
	default: /* NET_OR_NODE, NET_NONE_OK */
		return SLU_ID_CHECK;
	}
}

static uint32_t by_port(const struct ip *p, bool exempt)
{
	uint16_t port = 0;

	if (has_ports(p->proto))
		port = be16(p->l4 + 2);
	if (p->proto == IPPROTO_TCP && port >= 80 && port < 90)
		return SLU_DROP_DENIED;
	if ((p->proto == IPPROTO_UDP && port != 53) || p->proto == 47)
		return SLU_DROP_DENIED;
	if (p->proto == IPPROTO_SCTP && port == 9)
		return SLU_DROP_REJECTED;
	if ((p->proto == IPPROTO_ICMP && p->l4[0] == 8) ||
	    (p->proto == IPPROTO_ICMPV6 && p->l4[0] == 128))
		return identity(NET_REMOTE, p->six, exempt);
	return SLU_ID_CHECK;
}

static int net_of(const struct ip *p)
{
	char text[48];

	for (int net = 0; net < NET_COUNT; net++) {
		world_net(net, p->six, text);
		if (in(p->dst, text, p->six ? 48 : 24))
			return net;
	}
	return NET_AS_NODE;
}

static uint32_t policy(const struct ip *p, bool exempt)
{
	int net = net_of(p);

	if (p->later)
		return SLU_DROP_FRAGMENT;
	if (is(p->dst, "169.254.169.254") || net == NET_DENIED)
		return SLU_DROP_DENIED;
	if (in(p->dst, "169.254.0.0", 16) || in(p->dst, "fe80::", 10))
		return SLU_DROP_LINK_LOCAL_VIA;
	if (net == NET_REJECTED)
		return SLU_DROP_REJECTED;
	if (net == NET_AS_NODE)
		return SLU_ID_CHECK;
	return net == NET_PORTS ? by_port(p, exempt) : identity(net, p->six, exempt);
}

static uint32_t judge(enum world_pod pod, const struct ip *p)
{
	if (multicast(p->dst) || pod == POD_FREE || pod == POD_EXEMPT_FREE)
		return 0;
	if (is_icmp6(p) && p->l4[0] >= 133 && p->l4[0] <= 137 && in(p->dst, "fe80::", 10))
		return 0; /* neighbour discovery on the link */
	if (inside(p))
		return packet_wraps(p->proto, p->later ? NULL : p->l4) ? SLU_DROP_FORGED_TUNNEL
								       : SLU_ID_CHECK;
	if (pod == POD_QUARANTINED)
		return SLU_DROP_QUARANTINE;
	if (pod == POD_WITHOUT_MAP)
		return p->later ? SLU_DROP_FRAGMENT : SLU_DROP_NO_POLICY;
	return policy(p, pod == POD_EXEMPT);
}

struct verdict reference_from_pod(enum world_pod pod, const uint8_t *b, size_t len)
{
	bool exempt = pod == POD_EXEMPT || pod == POD_EXEMPT_FREE;
	bool governed = pod == POD_GOVERNED || pod == POD_EXEMPT || pod == POD_WITHOUT_MAP ||
			pod == POD_QUARANTINED;
	struct verdict v = {.untouched = true};
	struct ip p;
	uint32_t id;

	if (pod == POD_NONE)
		return (struct verdict){.reason = SLU_DROP_UNKNOWN_INTERFACE};
	if (be16(b + 12) < 0x0600) /* a length, not a type: IEEE 802.3 */
		return (struct verdict){.reason = SLU_DROP_MALFORMED};
	if (!exempt && !pods_mac(b + 6))
		return (struct verdict){.reason = SLU_DROP_SPOOFED_MAC};
	if (be16(b + 12) == 0x0806) {
		v.reason = arp_check(b, len, exempt);
		return v;
	}
	v.untouched = false;
	v.reason = parse(b, len, &p) ? source_check(&p, exempt) : SLU_DROP_MALFORMED;
	if (!v.reason && governed && p.source_route)
		v.reason = SLU_DROP_MALFORMED;
	if (v.reason)
		return v;
	id = judge(pod, &p);
	if (id == SLU_DROP_FORGED_TUNNEL)
		return (struct verdict){.reason = id};
	v.priority = world_priority(id);
	v.mark = id ? WORLD_DIVERT | world_mark(id & ~WORLD_DIVERT) : 0;
	return v;
}

/* ---- the tunnel ---- */

static bool pods(const uint8_t a[16])
{
	return in(a, "10.0.0.0", 8) || in(a, "fd00::", 8);
}

/* Neither inside, nor the link's, nor the gateway itself (with IPv6's ::/96, RFC 4291 2.5.5.1). */
static bool outside(const uint8_t a[16])
{
	return !pods(a) && !in(a, "172.16.0.0", 12) && !multicast(a) && !in(a, "169.254.0.0", 16) &&
	       !in(a, "fe80::", 10) && !in(a, "127.0.0.0", 8) && !in(a, "::", 96);
}

static bool same(const struct slu_addr *a, const char *text)
{
	return is((const uint8_t *)a, text);
}

/* What the test owns: see tunnel_fuzz.c. */
static uint32_t owned_id(const struct tunnel_key *key)
{
	if (key->vni != SLU_VNI_ADDRESS)
		return key->vni == REFERENCE_VNI && same(&key->local, NODE_V4) ? 18 : 0;
	if (same(&key->local, "203.0.113.1"))
		return 16;
	return same(&key->local, "2001:db8:e::1") ? 17 : 0;
}

struct verdict reference_from_tunnel(const struct tunnel_key *key, const uint8_t *b, size_t len)
{
	uint32_t id;
	struct ip p;

	if (!key)
		return (struct verdict){.reason = SLU_DROP_TUNNEL_KEY};
	if (!same(&key->remote, PEER_V4) && !same(&key->remote, PEER_V6))
		return (struct verdict){.reason = SLU_DROP_TUNNEL_SENDER};
	if (!parse(b, len, &p))
		return (struct verdict){.reason = SLU_DROP_MALFORMED};
	id = owned_id(key);
	if (id && pods(p.src) && outside(p.dst))
		return (struct verdict){.mark = WORLD_DIVERT | world_mark(id), .priority = 2};
	if (key->vni != SLU_VNI_ADDRESS ||
	    (!same(&key->local, NODE_V4) && !same(&key->local, NODE_V6)))
		return (struct verdict){.reason = id ? SLU_DROP_TUNNEL_INNER
						     : SLU_DROP_TUNNEL_ADDRESS};
	if (!pods(p.dst) || !outside(p.src))
		return (struct verdict){.reason = SLU_DROP_TUNNEL_INNER};
	return (struct verdict){0};
}

static unsigned int key_of_id(uint32_t id, struct tunnel_key *ret)
{
	static const struct {
		uint32_t id;
		const char *end;
	} ends[] = {{16, "203.0.113.1"},
		    {17, "2001:db8:e::1"},
		    {18, "203.0.113.2"},
		    {19, "2001:db8:e::2"},
		    {24, "203.0.113.5"}};

	if (id && id < SLU_MARK_REASONS)
		return id;
	if (id == 20 || id == 21)
		return SLU_DROP_NO_OWNER;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i].id == id) {
			ret->remote = world_addr(ends[i].end);
			return 0;
		}
	return SLU_DROP_TUNNEL_NO_ENTRY;
}

struct verdict reference_to_tunnel(uint32_t mark, const uint8_t *b, struct tunnel_key *ret)
{
	uint32_t id = (mark & SLU_MARK_MASK_DEFAULT & ~WORLD_DIVERT) >> SHIFT;
	struct verdict v = {.priority = SLU_PRIORITY_OUTER};

	ret->vni = SLU_VNI_ADDRESS;
	if (!(mark & SLU_MARK_MASK_DEFAULT) || (be16(b + 12) != 0x0800 && be16(b + 12) != 0x86dd))
		v.reason = SLU_DROP_TUNNEL_UNMARKED;
	else if (mark & WORLD_DIVERT)
		v.reason = key_of_id(id, ret);
	else if (id == 2 || id == 3)
		ret->remote = world_addr(id == 2 ? PEER_V4 : "fd00::3");
	else
		v.reason = SLU_DROP_TUNNEL_NO_ENTRY;
	ret->local = world_addr(mapped((const uint8_t *)&ret->remote) ? NODE_V4 : NODE_V6);
	return v;
}
