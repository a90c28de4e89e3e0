/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/announce_frame.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <string.h>

/* ---- building ---- */

static size_t make_arp(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
		       bool announce)
{
	struct arp_frame *a = &f->arp;

	*a = (struct arp_frame){
		.eth.h_proto = htons(ETH_P_ARP),
		.hrd = htons(ARPHRD_ETHER),
		.pro = htons(ETH_P_IP),
		.hln = MAC_LEN,
		.pln = 4,
		.op = htons(ARPOP_REQUEST),
	};
	memset(a->eth.h_dest, 0xff, MAC_LEN);
	memcpy(a->eth.h_source, own_mac, MAC_LEN);
	memcpy(a->sender_mac, own_mac, MAC_LEN);
	memcpy(a->target_ip, addr_bytes(&addr), 4);
	if (announce)
		memcpy(a->sender_ip, a->target_ip, 4);
	return sizeof(*a);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

/* RFC 4443 2.3; all lengths here are even. */
static uint16_t nd_checksum(const struct nd_frame *n, size_t icmp_len)
{
	uint32_t sum = (uint32_t)icmp_len + IPPROTO_ICMPV6;

	sum = sum16(sum, n->src, sizeof(n->src) + sizeof(n->dst));
	sum = sum16(sum, (const uint8_t *)n + ICMP_OFFSET, icmp_len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Solicitation: from ::, to the target's solicited-node group. Advertisement: from itself, to all
 * nodes. */
static size_t make_nd(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
		      bool announce)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t solicited[16] = {0xff, 0x02, [11] = 1, [12] = 0xff};
	size_t len = announce ? sizeof(f->nd) : ND_BARE_LEN;
	struct nd_frame *n = &f->nd;

	*n = (struct nd_frame){
		.eth.h_proto = htons(ETH_P_IPV6),
		.version = htonl(6u << 28),
		.payload = htons((uint16_t)(len - ICMP_OFFSET)),
		.next = IPPROTO_ICMPV6,
		.hops = 255,
		.type = announce ? ND_ADVERTISE : ND_SOLICIT,
		.flags = announce ? ND_OVERRIDE : 0,
		.opt_type = OPT_TARGET_LL,
		.opt_len = 1,
	};
	memcpy(n->dst, announce ? all_nodes : solicited, sizeof(n->dst));
	memcpy(n->target, addr_bytes(&addr), sizeof(n->target));
	if (announce)
		memcpy(n->src, n->target, sizeof(n->src));
	else
		memcpy(n->dst + 13, n->target + 13, 3);
	memcpy(n->opt_mac, own_mac, MAC_LEN);
	memcpy(n->eth.h_source, own_mac, MAC_LEN);
	n->eth.h_dest[0] = n->eth.h_dest[1] = 0x33;
	memcpy(n->eth.h_dest + 2, n->dst + 12, 4);
	n->csum = nd_checksum(n, len - ICMP_OFFSET);
	return len;
}

size_t segment_frame_make(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
			  bool announce)
{
	return addr_is_v4(addr) ? make_arp(f, own_mac, addr, announce)
				: make_nd(f, own_mac, addr, announce);
}

/* ---- reading ---- */

bool segment_frame_arp(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN])
{
	static const uint8_t none[4];
	const struct arp_frame *a = &f->arp;
	const void *ip = addr_bytes(&addr);

	if (len < sizeof(*a) || a->hln != MAC_LEN || a->pln != 4 || a->pro != htons(ETH_P_IP))
		return false;
	/* RFC 5227 2.1.1: any packet from the address, or another's probe for it */
	if (memcmp(a->sender_ip, ip, 4) != 0 &&
	    (memcmp(a->sender_ip, none, 4) != 0 || memcmp(a->target_ip, ip, 4) != 0 ||
	     a->op != htons(ARPOP_REQUEST)))
		return false;
	memcpy(mac, a->sender_mac, MAC_LEN);
	return true;
}

bool segment_frame_nd(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN])
{
	static const uint8_t none[16];
	const struct nd_frame *n = &f->nd;

	/* the hop limit proves that no router passed it on */
	if (len < ND_BARE_LEN || n->next != IPPROTO_ICMPV6 || n->hops != 255 || n->code != 0 ||
	    memcmp(n->target, addr_bytes(&addr), sizeof(n->target)) != 0)
		return false;
	/* RFC 4862 5.4.3: a solicitation from :: is another one's detection of duplicates */
	if (n->type != ND_ADVERTISE &&
	    (n->type != ND_SOLICIT || memcmp(n->src, none, sizeof(none)) != 0))
		return false;
	memcpy(mac, n->eth.h_source, MAC_LEN);
	if (n->type == ND_ADVERTISE && len >= sizeof(*n) && n->opt_type == OPT_TARGET_LL &&
	    n->opt_len == 1)
		memcpy(mac, n->opt_mac, MAC_LEN);
	return true;
}
