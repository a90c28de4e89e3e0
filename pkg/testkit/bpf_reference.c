/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/bpf_reference.h"

#include <arpa/inet.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <string.h>

#include "testkit/bpf_reference_wire.h"

#define ND_OPTS_MAX 8
#define SHIFT	    21

static bool multicast(const uint8_t a[16])
{
	return wire_in(a, "224.0.0.0", 4) || wire_is(a, "255.255.255.255") || a[0] == 0xff;
}

/* ---- is it the pod's own? 0 or a reason ---- */

static bool pods_mac(const uint8_t *b)
{
	struct ether_addr a;

	return memcmp(b, ether_aton_r(POD_MAC, &a), 6) == 0;
}

static bool pods_addr(const uint8_t a[16])
{
	return wire_is(a, POD_V4) || wire_is(a, POD_V6) || wire_is(a, POD_LINK_LOCAL);
}

static unsigned int arp_check(const uint8_t *b, size_t len, bool exempt)
{
	const uint8_t *a = b + 14;
	uint8_t spa[16] = {[10] = 0xff, [11] = 0xff};
	uint16_t op;

	if (len < 14 + 28 || wire_be16(a) != 1 || wire_be16(a + 2) != 0x0800 || a[4] != 6 ||
	    a[5] != 4)
		return SLU_DROP_MALFORMED;
	op = wire_be16(a + 6);
	if (op != 1 && op != 2)
		return SLU_DROP_MALFORMED;
	if (exempt)
		return 0;
	memcpy(spa + 12, a + 14, 4);
	if (!pods_mac(a + 8))
		return SLU_DROP_SPOOFED_ARP;
	return wire_is(spa, POD_V4) || (op == 1 && wire_is(spa, "0.0.0.0")) ? 0
									    : SLU_DROP_SPOOFED_ARP;
}

static bool is_icmp6(const struct wire_ip *p)
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

static unsigned int nd_check(const struct wire_ip *p, bool exempt)
{
	uint8_t type = p->l4[0];
	size_t fixed = type == 133 ? 8 : 24;
	bool unspecified = wire_is(p->src, "::");

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

/* RFC 792, 4443: an error is about a packet that was for the pod. Its destination is told. */
static unsigned int error_check(const struct wire_ip *p)
{
	static const uint8_t v4[] = {3, 4, 5, 11, 12};
	uint8_t to[16] = {[10] = 0xff, 0xff};
	size_t dst = 8 + (p->six ? 24 : 16), len = p->six ? 16 : 4;

	if (p->later || p->proto != (p->six ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    (p->six ? p->l4[0] > 127 : !memchr(v4, p->l4[0], sizeof(v4))))
		return 0;
	if (p->in_fragment || p->l4_len < dst + len)
		return SLU_DROP_MALFORMED;
	memcpy(to + 16 - len, p->l4 + dst, len);
	return pods_addr(to) ? 0 : SLU_DROP_SPOOFED_SOURCE;
}

/* What may come from nobody: DHCP; detection of duplicates, solicitations, MLD reports. */
static bool nobody_may(const struct wire_ip *p)
{
	if (p->later)
		return false;
	if (!p->six)
		return !p->in_fragment && wire_is(p->src, "0.0.0.0") &&
		       wire_is(p->dst, "255.255.255.255") && p->proto == IPPROTO_UDP &&
		       wire_be16(p->l4) == 68 && wire_be16(p->l4 + 2) == 67;
	if (!wire_is(p->src, "::") || p->dst[0] != 0xff || p->proto != IPPROTO_ICMPV6)
		return false;
	return p->l4[0] == 133 || p->l4[0] == 135 || p->l4[0] == 131 || p->l4[0] == 132 ||
	       p->l4[0] == 143;
}

static unsigned int source_check(const struct wire_ip *p, bool exempt)
{
	unsigned int reason;

	if (!exempt && !pods_addr(p->src) && !nobody_may(p))
		return SLU_DROP_SPOOFED_SOURCE;
	reason = exempt ? 0 : error_check(p);
	return reason ? reason : nd_check(p, exempt);
}

/* ---- where does it go? an id or a reason, as in the mark ---- */

static bool inside(const struct wire_ip *p)
{
	if (wire_in(p->dst, "10.0.0.0", 8) || wire_in(p->dst, "fd00::", 8) ||
	    wire_in(p->dst, "172.16.0.0", 12))
		return true;
	if (!wire_is(p->dst, "192.0.2.53") && !wire_is(p->dst, "2001:db8:53::53"))
		return false;
	return !p->later && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) &&
	       wire_be16(p->l4 + 2) == 53;
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

static uint32_t by_port(const struct wire_ip *p, bool exempt)
{
	uint16_t port = 0;

	if (wire_has_ports(p->proto))
		port = wire_be16(p->l4 + 2);
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

static int net_of(const struct wire_ip *p)
{
	char text[48];

	for (int net = 0; net < NET_COUNT; net++) {
		world_net(net, p->six, text);
		if (wire_in(p->dst, text, p->six ? 48 : 24))
			return net;
	}
	return NET_AS_NODE;
}

static uint32_t policy(const struct wire_ip *p, bool exempt)
{
	int net = net_of(p);

	if (p->later)
		return SLU_DROP_FRAGMENT;
	if (wire_is(p->dst, "169.254.169.254") || net == NET_DENIED)
		return SLU_DROP_DENIED;
	if (wire_in(p->dst, "169.254.0.0", 16) || wire_in(p->dst, "fe80::", 10))
		return SLU_DROP_LINK_LOCAL_VIA;
	if (net == NET_REJECTED)
		return SLU_DROP_REJECTED;
	if (net == NET_AS_NODE)
		return SLU_ID_CHECK;
	return net == NET_PORTS ? by_port(p, exempt) : identity(net, p->six, exempt);
}

static uint32_t judge(enum world_pod pod, const struct wire_ip *p)
{
	bool tunnel = packet_wraps(p->proto, p->later ? NULL : p->l4);

	if (pod == POD_FREE || pod == POD_EXEMPT_FREE)
		return 0;
	if (multicast(p->dst))
		return tunnel ? SLU_DROP_FORGED_TUNNEL : 0;
	if (is_icmp6(p) && p->l4[0] >= 133 && p->l4[0] <= 137 && wire_in(p->dst, "fe80::", 10))
		return 0; /* neighbour discovery on the link */
	if (tunnel && (inside(p) || wire_is(p->dst, EXTERNAL_V4) ||
		       wire_in(p->dst, "169.254.0.0", 16) || wire_in(p->dst, "fe80::", 10)))
		return SLU_DROP_FORGED_TUNNEL;
	if (inside(p))
		return SLU_ID_CHECK;
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
	struct wire_ip p;
	uint32_t id;

	if (pod == POD_NONE)
		return (struct verdict){.reason = SLU_DROP_UNKNOWN_INTERFACE};
	if (wire_be16(b + 12) < 0x0600) /* a length, not a type: IEEE 802.3 */
		return (struct verdict){.reason = SLU_DROP_MALFORMED};
	if (!exempt && !pods_mac(b + 6))
		return (struct verdict){.reason = SLU_DROP_SPOOFED_MAC};
	if (wire_be16(b + 12) == 0x0806) {
		v.reason = arp_check(b, len, exempt);
		return v;
	}
	v.untouched = false;
	v.reason = wire_parse(b, len, &p) ? source_check(&p, exempt) : SLU_DROP_MALFORMED;
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
	return wire_in(a, "10.0.0.0", 8) || wire_in(a, "fd00::", 8);
}

/* Neither inside, nor the link's, nor the gateway itself (with IPv6's ::/96, RFC 4291 2.5.5.1). */
static bool outside(const uint8_t a[16])
{
	return !pods(a) && !wire_in(a, "172.16.0.0", 12) && !multicast(a) &&
	       !wire_in(a, "169.254.0.0", 16) && !wire_in(a, "fe80::", 10) &&
	       !wire_in(a, "127.0.0.0", 8) && !wire_in(a, "::", 96);
}

static bool same(const struct slu_addr *a, const char *text)
{
	return wire_is((const uint8_t *)a, text);
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
	struct wire_ip p;

	if (!key)
		return (struct verdict){.reason = SLU_DROP_TUNNEL_KEY};
	if (!same(&key->remote, PEER_V4) && !same(&key->remote, PEER_V6))
		return (struct verdict){.reason = SLU_DROP_TUNNEL_SENDER};
	if (!wire_parse(b, len, &p))
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
	if (!(mark & SLU_MARK_MASK_DEFAULT) ||
	    (wire_be16(b + 12) != 0x0800 && wire_be16(b + 12) != 0x86dd))
		v.reason = SLU_DROP_TUNNEL_UNMARKED;
	else if (mark & WORLD_DIVERT)
		v.reason = key_of_id(id, ret);
	else if (id == 2 || id == 3)
		ret->remote = world_addr(id == 2 ? PEER_V4 : "fd00::3");
	else
		v.reason = SLU_DROP_TUNNEL_NO_ENTRY;
	ret->local = world_addr(wire_mapped((const uint8_t *)&ret->remote) ? NODE_V4 : NODE_V6);
	return v;
}
