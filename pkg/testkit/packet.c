/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/packet.h"

#include <arpa/inet.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *push(struct packet *p, size_t len)
{
	uint8_t *at = p->b + p->len;

	if (p->len + len > PACKET_MAX)
		abort();
	memset(at, 0, len);
	p->len += len;
	return at;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static void put_mac(uint8_t *at, const char *mac)
{
	struct ether_addr a;

	if (!ether_aton_r(mac, &a))
		abort();
	memcpy(at, &a, 6);
}

static void put_addr(uint8_t *at, const char *addr)
{
	if (inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, at) != 1)
		abort();
}

static bool is_v6(const struct packet *p)
{
	return p->b[p->ip] >> 4 == 6;
}

void packet_eth(struct packet *p, const char *src_mac, const char *dst_mac, uint16_t type)
{
	uint8_t *h;

	*p = (struct packet){};
	h = push(p, ETH_HLEN);
	put_mac(h, dst_mac);
	put_mac(h + 6, src_mac);
	put16(h + 12, type);
	p->type_at = 12;
}

void packet_vlan(struct packet *p, uint16_t tpid, uint16_t vid)
{
	uint8_t *h = push(p, 4);

	memcpy(h + 2, p->b + p->type_at, 2);
	put16(p->b + p->type_at, tpid);
	put16(h, vid);
	p->type_at = p->len - 2;
}

void packet_arp(struct packet *p, uint16_t op, const char *sha, const char *spa, const char *tpa)
{
	uint8_t *h = push(p, 28);

	put16(p->b + p->type_at, ETHERTYPE_ARP);
	put16(h, 1);
	put16(h + 2, ETHERTYPE_IP);
	h[4] = 6;
	h[5] = 4;
	put16(h + 6, op);
	put_mac(h + 8, sha);
	put_addr(h + 14, spa);
	put_addr(h + 24, tpa);
}

void packet_ip(struct packet *p, const char *src, const char *dst)
{
	bool v6 = strchr(src, ':') != NULL;
	uint8_t *h;

	p->ip = p->len;
	h = push(p, v6 ? 40 : 20);
	put16(p->b + p->type_at, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	if (v6) {
		h[0] = 0x60;
		h[6] = IPPROTO_NONE;
		h[7] = 64;
		put_addr(h + 8, src);
		put_addr(h + 24, dst);
	} else {
		h[0] = 0x45;
		h[8] = 64;
		put_addr(h + 12, src);
		put_addr(h + 16, dst);
	}
	p->next_at = p->ip + (v6 ? 6 : 9);
}

void packet_ip_options(struct packet *p, size_t len)
{
	memset(push(p, len), 1, len); /* no-operation */
	p->b[p->ip] += len / 4;
}

void packet_ext(struct packet *p, uint8_t type, const void *body, size_t len)
{
	uint8_t *h = push(p, len);

	if (body)
		memcpy(h, body, len);
	else if (len > 2)
		put16(h + 2, 1 << 8 | (len - 4)); /* PadN */
	h[0] = p->b[p->next_at];
	h[1] = type == IPPROTO_FRAGMENT ? 0 : type == IPPROTO_AH ? len / 4 - 2 : len / 8 - 1;
	p->b[p->next_at] = type;
	p->next_at = (size_t)(h - p->b);
}

void packet_fragment(struct packet *p, uint16_t offset, int more, uint32_t ident)
{
	uint8_t body[8] = {};

	if (is_v6(p)) {
		put16(body + 2, (offset & 0xfff8) | (more ? 1 : 0));
		put32(body + 4, ident);
		packet_ext(p, IPPROTO_FRAGMENT, body, sizeof(body));
		return;
	}
	put16(p->b + p->ip + 4, ident);
	put16(p->b + p->ip + 6, offset / 8 | (more ? 0x2000 : 0));
}

void packet_payload(struct packet *p, uint8_t proto, const void *data, size_t len)
{
	uint8_t *h = push(p, len);

	p->b[p->next_at] = proto;
	if (data)
		memcpy(h, data, len);
}

static uint8_t *transport(struct packet *p, uint8_t proto, size_t len)
{
	p->l4 = p->len;
	packet_payload(p, proto, NULL, len);
	return p->b + p->l4;
}

void packet_udp(struct packet *p, uint16_t sport, uint16_t dport, size_t payload)
{
	uint8_t *h = transport(p, IPPROTO_UDP, 8 + payload);

	put16(h, sport);
	put16(h + 2, dport);
	put16(h + 4, 8 + payload);
}

void packet_tcp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t flags)
{
	uint8_t *h = transport(p, IPPROTO_TCP, 20);

	put16(h, sport);
	put16(h + 2, dport);
	h[12] = 5 << 4;
	h[13] = flags;
	put16(h + 14, 0xffff);
}

void packet_icmp(struct packet *p, uint8_t type, uint8_t code, uint16_t id)
{
	uint8_t *h = transport(p, is_v6(p) ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 8);

	h[0] = type;
	h[1] = code;
	put16(h + 4, id);
}

void packet_quote(struct packet *p, const char *src, const char *dst, uint16_t port)
{
	struct packet about;

	packet_eth(&about, "02:00:00:00:00:01", "02:00:00:00:00:02", 0);
	packet_ip(&about, src, dst);
	packet_udp(&about, 5000, port, 20);
	packet_finish(&about);
	memcpy(push(p, about.len - about.ip), about.b + about.ip, about.len - about.ip);
}

void packet_nd(struct packet *p, uint8_t type, const char *target, uint8_t option, const char *mac)
{
	uint8_t *h;

	packet_icmp(p, type, 0, 0);
	p->b[p->ip + 7] = 255;
	if (target)
		put_addr(push(p, 16), target);
	if (!option)
		return;
	h = push(p, 8);
	h[0] = option;
	h[1] = 1;
	put_mac(h + 2, mac);
}

static uint32_t sum(const uint8_t *b, size_t len, uint32_t s)
{
	for (size_t i = 0; i < len; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Transport checksum with the pseudo header of the family. */
static void finish_l4(struct packet *p)
{
	const uint8_t *ip = p->b + p->ip;
	uint8_t *l4 = p->b + p->l4, proto = p->b[p->next_at];
	size_t len = p->len - p->l4;
	size_t at = proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
	uint32_t s = sum(l4, len, 0);

	if (proto != IPPROTO_ICMP)
		s += proto + len + (is_v6(p) ? sum(ip + 8, 32, 0) : sum(ip + 12, 8, 0));
	put16(l4 + at, fold(s));
}

void packet_finish(struct packet *p)
{
	uint8_t *ip = p->b + p->ip;

	if (!p->ip)
		return;
	if (is_v6(p)) {
		put16(ip + 4, p->len - p->ip - 40);
	} else {
		put16(ip + 2, p->len - p->ip);
		put16(ip + 10, 0);
		put16(ip + 10, fold(sum(ip, (ip[0] & 0xf) * 4u, 0)));
	}
	if (p->l4)
		finish_l4(p);
}

bool packet_wraps(uint8_t proto, const uint8_t *l4)
{
	static const uint16_t ports[] = {4789, 6081, 6784, 8472};

	for (size_t i = 0; l4 && proto == IPPROTO_UDP && i < sizeof(ports) / sizeof(ports[0]); i++)
		if ((l4[2] << 8 | l4[3]) == ports[i])
			return true;
	return proto == IPPROTO_IPIP || proto == IPPROTO_IPV6 || proto == IPPROTO_GRE;
}
