/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/bpf_fixture.h"

#define OUT4  "198.18.4.9" /* NET_REMOTE: id 18 */
#define OUT6  "2001:db8:4::9"
#define CHECK world_mark(SLU_ID_CHECK)

static void drops_unknown_interfaces(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_NONE, 0);
	world_udp(&p, POD_V4, OUT4, 443);
	pod_dropped(&p, SLU_DROP_UNKNOWN_INTERFACE, "no entry");
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_arp(&p, 1, POD_MAC, POD_V4, "10.1.0.1");
	pod_dropped(&p, SLU_DROP_UNKNOWN_INTERFACE, "ARP");
}

static void drops_foreign_sources(void **state)
{
	static const struct {
		const char *mac, *src, *dst;
		unsigned int reason;
	} rows[] = {
		{"02:00:00:00:00:06", POD_V4, OUT4, SLU_DROP_SPOOFED_MAC},
		{"02:00:00:00:00:06", POD_V6, OUT6, SLU_DROP_SPOOFED_MAC},
		{POD_MAC, "10.1.0.6", OUT4, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "10.1.0.6", "10.2.0.1", SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "198.51.100.1", "10.2.0.1", SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "0.0.0.0", OUT4, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "127.0.0.1", OUT4, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "255.255.255.255", OUT4, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "fd00:1::6", OUT6, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "fe80::ff:fe00:6", "fe80::1", SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "fe80:0:0:1:0:ff:fe00:5", "fe80::1", SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "::1", OUT6, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "::", OUT6, SLU_DROP_SPOOFED_SOURCE},
		{POD_MAC, "::", "ff02::fb", SLU_DROP_SPOOFED_SOURCE},
		/* an IPv6 packet whose addresses would read as IPv4 */
		{POD_MAC, "::ffff:10.1.0.5", OUT6, SLU_DROP_MALFORMED},
		{POD_MAC, POD_V6, "::ffff:10.2.0.1", SLU_DROP_MALFORMED},
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		packet_eth(&p, rows[i].mac, GATEWAY_MAC, 0);
		packet_ip(&p, rows[i].src, rows[i].dst);
		packet_udp(&p, 40000, 443, 10);
		packet_finish(&p);
		world_pod_set(POD_FREE, 0);
		pod_dropped(&p, rows[i].reason, rows[i].src);
		world_pod_set(POD_GOVERNED, 0);
		pod_dropped(&p, rows[i].reason, rows[i].src);
	}
}

/* conntrack would take it for a reply of the connection that it is about */
static void drops_errors_about_what_did_not_come_to_the_pod(void **state)
{
	static const struct {
		const char *src, *dst, *about;
		uint8_t type;
		unsigned int reason;
	} rows[] = {
		{POD_V4, OUT4, POD_V4, 3, 0},
		{POD_V4, OUT4, "10.1.0.6", 3, SLU_DROP_SPOOFED_SOURCE},
		{POD_V4, OUT4, "10.1.0.6", 4, SLU_DROP_SPOOFED_SOURCE},
		{POD_V4, OUT4, "10.1.0.6", 5, SLU_DROP_SPOOFED_SOURCE},
		{POD_V4, OUT4, "10.1.0.6", 8, 0},
		{POD_V4, OUT4, "10.1.0.6", 11, SLU_DROP_SPOOFED_SOURCE},
		{POD_V4, OUT4, "10.1.0.6", 12, SLU_DROP_SPOOFED_SOURCE},
		{POD_V4, OUT4, NULL, 3, SLU_DROP_MALFORMED},
		{POD_V6, OUT6, POD_V6, 1, 0},
		{POD_LINK_LOCAL, "fe80::1", POD_LINK_LOCAL, 4, 0},
		{POD_V6, OUT6, "fd00:1::6", 0, SLU_DROP_SPOOFED_SOURCE},
		{POD_V6, OUT6, "fd00:1::6", 1, SLU_DROP_SPOOFED_SOURCE},
		{POD_V6, OUT6, "fd00:1::6", 127, SLU_DROP_SPOOFED_SOURCE},
		{POD_V6, OUT6, "fd00:1::6", 128, 0},
		{POD_V6, OUT6, NULL, 2, SLU_DROP_MALFORMED},
	};
	struct packet p;

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_frame(&p, rows[i].src, rows[i].dst);
		packet_icmp(&p, rows[i].type, 0, 1);
		if (rows[i].about)
			packet_quote(&p, rows[i].dst, rows[i].about, 443);
		packet_finish(&p);
		world_pod_set(POD_FREE, 0);
		if (rows[i].reason)
			pod_dropped(&p, rows[i].reason, rows[i].src);
		else
			pod_passes(&p, 0, rows[i].src);
		world_pod_set(POD_EXEMPT_FREE, 0);
		pod_passes(&p, 0, "exempt");
	}
	world_pod_set(POD_FREE, 0);
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_ip(&p, POD_V4, OUT4);
	packet_fragment(&p, 0, 1, 7);
	packet_icmp(&p, 3, 0, 1);
	packet_quote(&p, OUT4, POD_V4, 443);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "in fragments");
}

static void exempt_pods_may_use_other_addresses_and_macs(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_EXEMPT_FREE, 0);
	packet_eth(&p, "02:00:00:00:00:99", GATEWAY_MAC, 0);
	packet_ip(&p, "fd00:1::77", OUT6);
	packet_udp(&p, 1, 2, 0);
	packet_finish(&p);
	pod_passes(&p, 0, "IPv6");
	packet_eth(&p, "02:00:00:00:00:99", GATEWAY_MAC, 0);
	packet_arp(&p, 1, "02:00:00:00:00:99", "10.1.0.77", "10.1.0.1");
	pod_passes(&p, SLU_MARK_MASK_DEFAULT, "ARP");
	world_frame(&p, "fd00:1::77", "ff02::1");
	packet_nd(&p, 136, "fd00:1::77", 2, "02:00:00:00:00:99");
	packet_finish(&p);
	pod_passes(&p, 0, "neighbour advertisement");
	world_frame(&p, "fe80::1", "ff02::1");
	packet_nd(&p, 134, NULL, 0, NULL);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_ROUTER_ADVERT, "router advertisement");
}

static void lets_a_pod_without_address_ask_by_dhcp(void **state)
{
	static const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		bool ok;
	} rows[] = {
		{"0.0.0.0", "255.255.255.255", 68, 67, true},
		{POD_V4, "255.255.255.255", 68, 67, true},
		{"0.0.0.0", "255.255.255.255", 67, 68, false},
		{"0.0.0.0", "255.255.255.255", 68, 69, false},
		{"0.0.0.0", "198.18.0.9", 68, 67, false},
	};

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		world_frame(&p, rows[i].src, rows[i].dst);
		packet_udp(&p, rows[i].sport, rows[i].dport, 240);
		packet_finish(&p);
		if (rows[i].ok)
			pod_passes(&p, 0, rows[i].dst);
		else
			pod_dropped(&p, SLU_DROP_SPOOFED_SOURCE, rows[i].dst);
	}
}

static void checks_the_sender_of_arp(void **state)
{
	static const struct {
		uint16_t op;
		const char *sha, *spa;
		unsigned int reason;
	} rows[] = {
		{1, POD_MAC, POD_V4, 0},
		{2, POD_MAC, POD_V4, 0},
		{1, POD_MAC, "0.0.0.0", 0},
		{2, POD_MAC, "0.0.0.0", SLU_DROP_SPOOFED_ARP},
		{1, POD_MAC, "10.1.0.6", SLU_DROP_SPOOFED_ARP},
		{2, POD_MAC, "10.1.0.1", SLU_DROP_SPOOFED_ARP},
		{1, "02:00:00:00:00:06", POD_V4, SLU_DROP_SPOOFED_ARP},
		{1, "02:00:00:00:00:06", "0.0.0.0", SLU_DROP_SPOOFED_ARP},
		{3, POD_MAC, POD_V4, SLU_DROP_MALFORMED},
	};
	struct packet p;

	world();
	world_pod_set(POD_FREE, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
		packet_arp(&p, rows[i].op, rows[i].sha, rows[i].spa, "10.1.0.1");
		if (rows[i].reason)
			pod_dropped(&p, rows[i].reason, rows[i].spa);
		else
			pod_passes(&p, SLU_MARK_MASK_DEFAULT, rows[i].spa);
	}
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_arp(&p, 1, POD_MAC, POD_V4, "10.1.0.1");
	p.b[14 + 4] = 8;
	pod_dropped(&p, SLU_DROP_MALFORMED, "hardware length");
	p.b[14 + 4] = 6;
	p.len = 14 + 27;
	pod_dropped(&p, SLU_DROP_MALFORMED, "short");
}

static void checks_neighbour_discovery(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t type;
		const char *target;
		uint8_t option;
		const char *mac;
		int outcome; /* 0: untouched; CHECK: judged by destination; else dropped with it */
	} rows[] = {
		{POD_V6, "ff02::1:ff00:1", 135, "fd00:1::1", 1, POD_MAC, 0},
		{POD_V6, "ff02::1:ff00:1", 135, "fd00:1::1", 0, NULL, 0},
		{POD_LINK_LOCAL, "fe80::1", 135, "fe80::1", 1, POD_MAC, 0},
		{POD_V6, "fd00:1::1", 135, "fd00:1::1", 1, POD_MAC, SLU_ID_CHECK},
		{POD_V6, "ff02::1:ff00:1", 135, "fd00:1::1", 1, GATEWAY_MAC, SLU_DROP_SPOOFED_ARP},
		{"::", "ff02::1:ff00:5", 135, POD_V6, 0, NULL, 0},
		{"::", "ff02::1:ff00:5", 135, POD_LINK_LOCAL, 0, NULL, 0},
		{"::", "ff02::1:ff00:6", 135, "fd00:1::6", 0, NULL, SLU_DROP_SPOOFED_ARP},
		{"::", "fd00:1::1", 135, POD_V6, 0, NULL, SLU_DROP_SPOOFED_SOURCE},
		{POD_V6, "ff02::1", 136, POD_V6, 2, POD_MAC, 0},
		{POD_LINK_LOCAL, "fe80::1", 136, POD_LINK_LOCAL, 2, POD_MAC, 0},
		{POD_V6, "fe80::1", 136, POD_V6, 2, POD_MAC, 0},
		{POD_V6, "ff02::1", 136, "fd00:1::1", 2, POD_MAC, SLU_DROP_SPOOFED_ARP},
		{POD_V6, "ff02::1", 136, POD_V6, 2, GATEWAY_MAC, SLU_DROP_SPOOFED_ARP},
		{"::", "ff02::1", 136, POD_V6, 2, POD_MAC, SLU_DROP_SPOOFED_SOURCE},
		{POD_LINK_LOCAL, "ff02::2", 133, NULL, 1, POD_MAC, 0},
		{"::", "ff02::2", 133, NULL, 0, NULL, 0},
		{POD_LINK_LOCAL, "ff02::2", 133, NULL, 1, GATEWAY_MAC, SLU_DROP_SPOOFED_ARP},
		{POD_LINK_LOCAL, "ff02::1", 134, NULL, 0, NULL, SLU_DROP_ROUTER_ADVERT},
		{POD_LINK_LOCAL, "fe80::1", 137, POD_V6, 0, NULL, SLU_DROP_ROUTER_ADVERT},
	};

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;
		char what[64];

		snprintf(what, sizeof(what), "row %zu, type %u", i, rows[i].type);
		world_frame(&p, rows[i].src, rows[i].dst);
		packet_nd(&p, rows[i].type, rows[i].target, rows[i].option, rows[i].mac);
		packet_finish(&p);
		if (rows[i].outcome == 0 || rows[i].outcome == SLU_ID_CHECK)
			pod_passes(&p, world_mark(rows[i].outcome), what);
		else
			pod_dropped(&p, rows[i].outcome, what);
	}
}

static void nd_solicit(struct packet *p)
{
	world_frame(p, POD_V6, "ff02::1:ff00:1");
	packet_nd(p, 135, "fd00:1::1", 1, POD_MAC);
	packet_finish(p);
}

static void drops_malformed_neighbour_discovery(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_FREE, 0);
	nd_solicit(&p);
	p.b[14 + 40 + 24 + 1] = 0;
	pod_dropped(&p, SLU_DROP_MALFORMED, "option of length 0");
	nd_solicit(&p);
	p.b[14 + 40 + 24 + 1] = 2;
	pod_dropped(&p, SLU_DROP_MALFORMED, "option beyond the packet");
	nd_solicit(&p);
	p.len -= 4;
	p.b[14 + 5] -= 4;
	pod_dropped(&p, SLU_DROP_MALFORMED, "half an option");
	nd_solicit(&p);
	p.len -= 12;
	p.b[14 + 5] -= 12;
	pod_dropped(&p, SLU_DROP_MALFORMED, "no whole target");
	world_frame(&p, POD_V6, "ff02::1:ff00:1");
	packet_fragment(&p, 0, 0, 1);
	packet_nd(&p, 135, "fd00:1::1", 1, POD_MAC);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "in a fragment");
	world_frame(&p, POD_V6, "ff02::1:ff00:1");
	packet_nd(&p, 135, "fd00:1::1", 1, POD_MAC);
	for (int i = 0; i < 8; i++) {
		memcpy(p.b + p.len, p.b + p.len - 8, 8);
		p.len += 8;
	}
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "nine options");
	/* the second option lies */
	nd_solicit(&p);
	memcpy(p.b + p.len, (uint8_t[]){2, 1, 2, 0, 0, 0, 0, 6}, 8);
	p.len += 8;
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_SPOOFED_ARP, "second option");
}

static void lets_multicast_listeners_report(void **state)
{
	static const uint8_t router_alert[8] = {0, 0, 5, 2, 0, 0, 1, 0};
	static const char *const sources[] = {"::", POD_LINK_LOCAL};
	struct packet p;

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < 2; i++) {
		world_frame(&p, sources[i], "ff02::16");
		packet_ext(&p, IPPROTO_HOPOPTS, router_alert, sizeof(router_alert));
		packet_icmp(&p, 143, 0, 0);
		packet_finish(&p);
		pod_passes(&p, 0, sources[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_unknown_interfaces),
		cmocka_unit_test(drops_foreign_sources),
		cmocka_unit_test(drops_errors_about_what_did_not_come_to_the_pod),
		cmocka_unit_test(exempt_pods_may_use_other_addresses_and_macs),
		cmocka_unit_test(lets_a_pod_without_address_ask_by_dhcp),
		cmocka_unit_test(checks_the_sender_of_arp),
		cmocka_unit_test(checks_neighbour_discovery),
		cmocka_unit_test(drops_malformed_neighbour_discovery),
		cmocka_unit_test(lets_multicast_listeners_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
