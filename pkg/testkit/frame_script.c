/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/frame_script.h"

#include <netinet/in.h>
#include <string.h>

#include "testkit/bpf_fixture.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define PICK(s, a) (a)[script_byte(s) % COUNT(a)]
#define EDITS_MAX  6

static const char *const macs[] = {POD_MAC,
				   POD_MAC,
				   POD_MAC,
				   POD_MAC,
				   GATEWAY_MAC,
				   "02:00:00:00:00:06",
				   "33:33:00:00:00:01",
				   "ff:ff:ff:ff:ff:ff"};

static const char *const v4[] = {
	POD_V4,	       POD_V4,
	POD_V4,	       "10.1.0.6",
	"0.0.0.0",     "127.0.0.1",
	"10.2.0.1",    "172.31.0.1",
	"224.0.0.251", "255.255.255.255",
	"169.254.1.1", "169.254.169.254",
	"192.0.2.53",  "192.0.2.1",
	"198.18.0.9",  "198.18.1.9",
	"198.18.2.9",  "198.18.3.9",
	"198.18.4.9",  "198.18.12.9",
	EXTERNAL_V4,
};

static const char *const v6[] = {
	POD_V6,
	POD_V6,
	POD_V6,
	POD_LINK_LOCAL,
	"fd00:1::6",
	"::",
	"::1",
	"fe80::1",
	"ff02::1",
	"ff02::1:ff00:5",
	"ff02::16",
	"ff0e::fb",
	"fd00:2::1",
	"2001:db8:53::53",
	"2001:db8:0::9",
	"2001:db8:1::9",
	"2001:db8:2::9",
	"2001:db8:3::9",
	"2001:db8:4::9",
	"2001:db8:c::9",
	"::ffff:10.1.0.5",
	"fe80:0:0:1:0:ff:fe00:5",
};

static const uint16_t ports[] = {53, 80, 89, 90, 67, 68, 443, 5347, 0, 65535, 54, 9};

uint8_t script_byte(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->data++;
}

static void bytes(struct script *s, uint8_t *to, size_t len)
{
	while (len--)
		*to++ = script_byte(s);
}

static void put_arp(struct script *s, struct packet *p)
{
	uint16_t op = script_byte(s) % 4;
	const char *sha = PICK(s, macs), *spa = PICK(s, v4);

	packet_arp(p, op, sha, spa, PICK(s, v4));
}

static void put_options(struct script *s, struct packet *p)
{
	static const uint8_t kinds[] = {0, 1, 7, 68, 130, 131, 137, 148};
	size_t len = script_byte(s) % 11 * 4;
	uint8_t *at = p->b + p->len;

	packet_ip_options(p, len);
	for (size_t i = 0; i < len;) {
		at[i++] = PICK(s, kinds);
		if (i < len)
			at[i++] = script_byte(s) % 12;
		for (uint8_t skip = script_byte(s) % 4; skip && i < len; skip--)
			at[i++] = script_byte(s);
	}
}

static void put_fragment(struct script *s, struct packet *p)
{
	static const uint16_t offsets[] = {0, 0, 8, 1480, 65528};
	uint16_t offset = PICK(s, offsets);

	packet_fragment(p, offset, script_byte(s) & 1, 7);
}

static void put_headers(struct script *s, struct packet *p)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS,
					IPPROTO_DSTOPTS,
					IPPROTO_ROUTING,
					IPPROTO_AH,
					IPPROTO_FRAGMENT,
					135,
					139,
					140};

	for (size_t n = script_byte(s) % 11; n; n--) {
		uint8_t kind = PICK(s, kinds), body[24] = {0};

		if (kind == IPPROTO_FRAGMENT) {
			put_fragment(s, p);
			continue;
		}
		body[2] = script_byte(s) % 5; /* routing: type, segments left */
		body[3] = script_byte(s) % 3;
		packet_ext(p, kind, body, kind == IPPROTO_AH ? 24 : 8 + script_byte(s) % 3 * 8);
	}
}

static void put_nd(struct script *s, struct packet *p)
{
	static const uint8_t types[] = {133, 134, 135, 136, 137, 130, 131, 132, 143};
	uint8_t type = PICK(s, types);
	const char *target = type == 135 || type == 136 || type == 137 ? PICK(s, v6) : NULL;

	packet_nd(p, type, target, script_byte(s) % 4, PICK(s, macs));
	for (size_t n = script_byte(s) % 12; n; n--) {
		uint8_t option[8] = {script_byte(s) % 4, script_byte(s) % 3};

		bytes(s, option + 2, 6);
		memcpy(p->b + p->len, option, sizeof(option));
		p->len += sizeof(option);
	}
	if (script_byte(s) & 1)
		p->b[p->ip + 7] = script_byte(s);
}

static void put_transport(struct script *s, struct packet *p, int six)
{
	static const uint8_t protocols[] = {IPPROTO_UDP,     IPPROTO_TCP,  IPPROTO_SCTP,
					    IPPROTO_GRE,     IPPROTO_ESP,  IPPROTO_DCCP,
					    IPPROTO_UDPLITE, IPPROTO_NONE, IPPROTO_ICMP,
					    IPPROTO_ICMPV6,  IPPROTO_IPIP, 4};
	uint8_t body[24], kind = script_byte(s) % 8;
	uint16_t sport = PICK(s, ports), dport = PICK(s, ports);

	if (kind < 2) {
		packet_udp(p, sport, dport, script_byte(s) % 32);
	} else if (kind == 2) {
		packet_tcp(p, sport, dport, script_byte(s));
	} else if (kind == 3) {
		packet_icmp(p, script_byte(s), script_byte(s) % 4, 1);
	} else if (kind < 6 && six) {
		put_nd(s, p);
	} else {
		uint8_t proto = PICK(s, protocols);

		bytes(s, body, sizeof(body));
		packet_payload(p, proto, body, script_byte(s) % (sizeof(body) + 1));
	}
}

static void put_ip(struct script *s, struct packet *p)
{
	int six = script_byte(s) & 1;
	uint8_t parts = script_byte(s);
	const char *src = six ? PICK(s, v6) : PICK(s, v4);

	packet_ip(p, src, six ? PICK(s, v6) : PICK(s, v4));
	if (parts & 1) {
		if (six)
			put_headers(s, p);
		else
			put_options(s, p);
	}
	if (!six && (parts & 6) == 6)
		put_fragment(s, p);
	put_transport(s, p, six);
	packet_finish(p);
}

static void edit(struct script *s, struct packet *p)
{
	for (size_t n = script_byte(s) % EDITS_MAX; n; n--) {
		uint8_t op = script_byte(s) % 8;
		size_t at = script_byte(s);

		if (op == 0 && at < p->len)
			p->len = at < 14 ? 14 : at;
		else if (op == 1)
			p->len += at % 16;
		else if (op < 5 && at < p->len)
			p->b[at] = script_byte(s);
		else if (at < p->len)
			p->b[at] ^= (uint8_t)(1u << script_byte(s) % 8);
	}
}

void frame_make(struct script *s, struct packet *ret)
{
	static const uint16_t others[] = {0x88cc, 0x8847, 0x0842, 0x0100};
	uint8_t kind = script_byte(s) % 16;
	const char *src = PICK(s, macs);

	packet_eth(ret, src, PICK(s, macs), PICK(s, others));
	if (kind == 15 || kind == 14)
		packet_vlan(ret, kind == 15 ? 0x8100 : 0x88a8, 0);
	if (kind < 3)
		put_arp(s, ret);
	else if (kind != 13)
		put_ip(s, ret);
	edit(s, ret);
}

void frame_make_inner(struct script *s, struct packet *ret)
{
	packet_eth(ret, "02:53:4c:55:00:02", "02:53:4c:55:00:01", 0);
	put_ip(s, ret);
	edit(s, ret);
}
