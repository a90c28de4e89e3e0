/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/bpf_reference_wire.h"

#include <netinet/in.h>
#include <string.h>

#define EXT_MAX 8

uint16_t wire_be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

bool wire_is(const uint8_t a[16], const char *text)
{
	struct slu_addr w = world_addr(text);

	return memcmp(a, &w, 16) == 0;
}

bool wire_in(const uint8_t a[16], const char *text, unsigned int bits)
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

bool wire_mapped(const uint8_t a[16])
{
	return wire_in(a, "0.0.0.0", 0);
}

bool wire_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

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

static bool transport_there(const struct wire_ip *p)
{
	if (p->later)
		return true;
	return p->l4_len >= 4 || !(wire_has_ports(p->proto) || is_icmp(p->proto));
}

static bool parse4(const uint8_t *b, size_t len, struct wire_ip *ret)
{
	size_t head, total;

	if (len < 20 || b[0] >> 4 != 4)
		return false;
	head = (b[0] & 0xf) * 4u;
	total = wire_be16(b + 2);
	if (head < 20 || total < head || total > len)
		return false;
	memset(ret->src, 0, 10);
	memset(ret->src + 10, 0xff, 2);
	memcpy(ret->dst, ret->src, 12);
	memcpy(ret->src + 12, b + 12, 4);
	memcpy(ret->dst + 12, b + 16, 4);
	ret->proto = b[9];
	ret->source_route = options_route(b + 20, head - 20);
	ret->later = wire_be16(b + 6) & 0x1fff;
	ret->in_fragment = wire_be16(b + 6) & 0x3fff;
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
static bool extension(struct wire_ip *ret)
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
		ret->later |= (wire_be16(h + 2) & 0xfff8) != 0;
	}
	ret->proto = h[0];
	ret->l4 += len;
	ret->l4_len -= len;
	return true;
}

static bool parse6(const uint8_t *b, size_t len, struct wire_ip *ret)
{
	size_t payload;

	if (len < 40 || b[0] >> 4 != 6)
		return false;
	payload = wire_be16(b + 4);
	if (!payload && b[6] == IPPROTO_HOPOPTS) /* RFC 2675: the frame says how long it is */
		payload = len - 40;
	if (payload > len - 40)
		return false;
	memcpy(ret->src, b + 8, 16);
	memcpy(ret->dst, b + 24, 16);
	if (wire_mapped(ret->src) || wire_mapped(ret->dst))
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

bool wire_parse(const uint8_t *b, size_t len, struct wire_ip *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (wire_be16(b + 12) == 0x0800)
		return parse4(b + 14, len - 14, ret);
	return wire_be16(b + 12) == 0x86dd && parse6(b + 14, len - 14, ret);
}
