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

static void drops_frames_of_other_protocols(void **state)
{
	static const uint16_t types[] = {0x0842, 0x88cc, 0x8847, 0x0100, 0x8035, 0x88a8, 0x8100};

	world();
	world_pod_set(POD_FREE, 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct packet p;

		world_udp(&p, POD_V4, OUT4, 443);
		p.b[12] = types[i] >> 8;
		p.b[13] = types[i] & 0xff;
		pod_dropped(&p, SLU_DROP_MALFORMED, "ethertype");
	}
}

/* In-band tags; those the kernel has taken off are in veth_test.c. */
static void drops_tagged_frames(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_EXEMPT_FREE, 0);
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_vlan(&p, 0x8100, 0);
	packet_ip(&p, POD_V4, OUT4);
	packet_udp(&p, 1, 2, 10);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "one tag");
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_vlan(&p, 0x88a8, 0);
	packet_vlan(&p, 0x8100, 0);
	packet_arp(&p, 1, POD_MAC, POD_V4, "10.1.0.1");
	pod_dropped(&p, SLU_DROP_MALFORMED, "two tags");
}

/* A test run refuses what is shorter than an IP header; veth_test.c sends that. */
static void drops_ipv4_that_cannot_be_parsed(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} rows[] = {
		{"version 5", 14, 0x55},
		{"header of 16 bytes", 14, 0x44},
		{"longer than the frame", 17, 200},
		{"shorter than its header", 17, 19},
		{"no room for ports", 17, 23},
		{"options beyond the packet", 14, 0x4f},
		{"length 0", 17, 0},
		{"IPv6 under the type of IPv4", 14, 0x65},
	};

	world();
	world_pod_set(POD_FREE, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		world_udp(&p, POD_V4, OUT4, 443);
		p.b[rows[i].at] = rows[i].value;
		pod_dropped(&p, SLU_DROP_MALFORMED, rows[i].what);
	}
	for (size_t len = 34; len < 38; len++) {
		struct packet p;

		world_udp(&p, POD_V4, OUT4, 443);
		p.len = len;
		pod_dropped(&p, SLU_DROP_MALFORMED, "cut short");
	}
}

static void drops_ipv6_that_cannot_be_parsed(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} rows[] = {
		{"version 4", 14, 0x40},
		{"longer than the frame", 19, 200},
		{"no room for ports", 19, 3},
		{"extension header beyond the packet", 20, IPPROTO_DSTOPTS},
		{"chain into padding", 20, IPPROTO_HOPOPTS},
	};

	world();
	world_pod_set(POD_FREE, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		world_udp(&p, POD_V6, OUT6, 443);
		p.b[rows[i].at] = rows[i].value;
		pod_dropped(&p, SLU_DROP_MALFORMED, rows[i].what);
	}
	for (size_t len = 54; len < 58; len++) {
		struct packet p;

		world_udp(&p, POD_V6, OUT6, 443);
		p.len = len;
		pod_dropped(&p, SLU_DROP_MALFORMED, "cut short");
	}
}

static void walks_ipv6_extension_headers(void **state)
{
	static const uint8_t chain[] = {IPPROTO_AH,	 IPPROTO_DSTOPTS, IPPROTO_DSTOPTS,
					IPPROTO_HOPOPTS, IPPROTO_AH,	  IPPROTO_DSTOPTS,
					IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_DSTOPTS};
	char dst[48];

	world();
	world_pod_set(POD_GOVERNED, 0);
	world_net(NET_PORTS, 1, dst);
	for (size_t n = 0; n <= sizeof(chain); n++) {
		struct packet p;
		char what[32];

		world_frame(&p, POD_V6, dst);
		for (size_t i = 0; i < n; i++)
			packet_ext(&p, chain[i], NULL, chain[i] == IPPROTO_AH ? 24 : 8 + 8 * i);
		packet_tcp(&p, 40000, 80, PACKET_TCP_SYN);
		packet_finish(&p);
		snprintf(what, sizeof(what), "%zu headers", n);
		if (n <= 8)
			pod_passes(&p, world_mark(SLU_DROP_DENIED), what);
		else
			pod_dropped(&p, SLU_DROP_MALFORMED, what);
	}
}

static void routing(struct packet *p, uint8_t type, uint8_t left)
{
	uint8_t body[24] = {0, 2, type, left};

	world_frame(p, POD_V6, OUT6);
	packet_ext(p, IPPROTO_ROUTING, body, sizeof(body));
	packet_udp(p, 1, 443, 10);
	packet_finish(p);
}

static void drops_routing_headers_that_name_another_destination(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_FREE, 0);
	routing(&p, 0, 1);
	pod_dropped(&p, SLU_DROP_MALFORMED, "type 0");
	routing(&p, 0, 0);
	pod_dropped(&p, SLU_DROP_MALFORMED, "type 0, nothing left");
	routing(&p, 4, 1);
	pod_passes(&p, 0, "segments, no policy");
	world_pod_set(POD_GOVERNED, 0);
	pod_dropped(&p, SLU_DROP_MALFORMED, "segments left, governed");
	routing(&p, 4, 0);
	pod_passes(&p, world_remote(1), "no segments left");
}

/* Not even as what passes by its destination alone. */
static void drops_routed_frames_of_governed_pods_on_the_link(void **state)
{
	static const uint8_t routing_left[8] = {0, 0, 4, 1};
	static const uint8_t loose[8] = {131, 7, 4, 198, 18, 1, 9, 0};
	struct packet p;

	world();
	world_pod_set(POD_GOVERNED, 0);
	world_frame(&p, POD_V6, "fe80::1");
	packet_ext(&p, IPPROTO_ROUTING, routing_left, sizeof(routing_left));
	packet_nd(&p, 135, "fe80::1", 1, POD_MAC);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "neighbour solicitation");
	world_frame(&p, POD_V6, "ff02::fb");
	packet_ext(&p, IPPROTO_ROUTING, routing_left, sizeof(routing_left));
	packet_udp(&p, 5353, 5353, 10);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "IPv6 multicast");
	world_frame(&p, POD_V4, "224.0.0.251");
	packet_ip_options(&p, sizeof(loose));
	memcpy(p.b + 34, loose, sizeof(loose));
	packet_udp(&p, 5353, 5353, 10);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_MALFORMED, "IPv4 multicast");
}

static void walks_ipv4_options(void **state)
{
	char dst[48];

	world();
	world_pod_set(POD_GOVERNED, 0);
	world_net(NET_PORTS, 0, dst);
	for (size_t len = 4; len <= 40; len += 4) {
		struct packet p;

		world_frame(&p, POD_V4, dst);
		packet_ip_options(&p, len);
		packet_tcp(&p, 40000, 85, PACKET_TCP_SYN);
		packet_finish(&p);
		pod_passes(&p, world_mark(SLU_DROP_DENIED), "options");
	}
}

/* Where a source route really leads was not judged, so that the destination does not count. */
static void drops_source_routes_of_governed_pods(void **state)
{
	static const struct {
		const char *what;
		uint8_t options[8];
		int dropped;
	} rows[] = {
		{"loose", {131, 7, 4, 198, 18, 1, 9, 0}, 1},
		{"strict", {137, 7, 4, 198, 18, 1, 9, 0}, 1},
		{"behind others", {1, 148, 4, 0, 0, 131, 3, 4}, 1},
		{"of no length", {148, 0, 0, 0, 0, 0, 0, 0}, 1},
		{"the number inside another option", {148, 4, 131, 137, 1, 1, 1, 0}, 0},
		{"behind the end", {1, 0, 131, 3, 4, 0, 0, 0}, 0},
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		world_pod_set(POD_GOVERNED, 0);
		world_frame(&p, POD_V4, OUT4);
		packet_ip_options(&p, sizeof(rows[i].options));
		memcpy(p.b + 34, rows[i].options, sizeof(rows[i].options));
		packet_udp(&p, 1, 2, 10);
		packet_finish(&p);
		if (rows[i].dropped)
			pod_dropped(&p, SLU_DROP_MALFORMED, rows[i].what);
		else
			pod_passes(&p, world_remote(0), rows[i].what);
		world_pod_set(POD_FREE, 0);
		pod_passes(&p, 0, rows[i].what);
	}
}

static void judges_first_fragments_and_marks_later_ones(void **state)
{
	static const struct {
		enum world_pod pod;
		uint16_t offset;
		const char *dst4, *dst6;
		uint32_t mark4, mark6;
	} rows[] = {
		{POD_GOVERNED, 0, OUT4, OUT6, WORLD_DIVERT | 18u << 21, WORLD_DIVERT | 19u << 21},
		{POD_GOVERNED, 1480, OUT4, OUT6, SLU_DROP_FRAGMENT << 21, SLU_DROP_FRAGMENT << 21},
		{POD_GOVERNED, 8, OUT4, OUT6, SLU_DROP_FRAGMENT << 21, SLU_DROP_FRAGMENT << 21},
		{POD_GOVERNED, 1480, "10.2.0.1", "fd00:2::1", 15u << 21, 15u << 21},
		{POD_GOVERNED, 1480, "224.0.0.1", "ff02::1", 0, 0},
		{POD_QUARANTINED, 1480, "192.0.2.53", "2001:db8:53::53", 7u << 21, 7u << 21},
		{POD_FREE, 1480, OUT4, OUT6, 0, 0},
		{POD_FREE, 0, OUT4, OUT6, 0, 0},
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;
		char what[16];

		world_pod_set(rows[i].pod, 0);
		snprintf(what, sizeof(what), "row %zu", i);
		world_frame(&p, POD_V4, rows[i].dst4);
		packet_fragment(&p, rows[i].offset, 1, 7);
		packet_udp(&p, 40000, 53, 16);
		packet_finish(&p);
		pod_passes(&p, rows[i].mark4, what);
		world_frame(&p, POD_V6, rows[i].dst6);
		packet_fragment(&p, rows[i].offset, 1, 7);
		packet_udp(&p, 40000, 53, 16);
		packet_finish(&p);
		pod_passes(&p, rows[i].mark6, what);
	}
}

static void checks_the_source_of_later_fragments(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_FREE, 0);
	world_frame(&p, "10.1.0.6", OUT4);
	packet_fragment(&p, 1480, 0, 7);
	packet_payload(&p, IPPROTO_UDP, NULL, 8);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_SPOOFED_SOURCE, "IPv4");
	world_frame(&p, "fd00:1::6", OUT6);
	packet_fragment(&p, 1480, 0, 7);
	packet_payload(&p, IPPROTO_ICMPV6, NULL, 8);
	packet_finish(&p);
	pod_dropped(&p, SLU_DROP_SPOOFED_SOURCE, "IPv6");
}

/* RFC 7112: what hides its transport header in the second fragment cannot be judged. */
static void drops_first_fragments_without_the_whole_chain(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_FREE, 0);
	world_frame(&p, POD_V6, "ff02::1");
	packet_fragment(&p, 0, 1, 7);
	packet_ext(&p, IPPROTO_DSTOPTS, NULL, 16);
	packet_icmp(&p, 134, 0, 0);
	packet_finish(&p);
	p.len -= 16; /* behind half of the options */
	p.b[14 + 5] -= 16;
	pod_dropped(&p, SLU_DROP_MALFORMED, "options cut");
}

static void passes_transports_of_no_length(void **state)
{
	struct packet p;

	world();
	world_pod_set(POD_GOVERNED, 0);
	world_frame(&p, POD_V6, "2001:db8:0::9");
	packet_finish(&p);
	pod_passes(&p, CHECK, "no next header");
	world_frame(&p, POD_V4, "198.18.0.9");
	packet_payload(&p, 47, NULL, 0);
	packet_finish(&p);
	pod_passes(&p, CHECK, "header alone");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_frames_of_other_protocols),
		cmocka_unit_test(drops_tagged_frames),
		cmocka_unit_test(drops_ipv4_that_cannot_be_parsed),
		cmocka_unit_test(drops_ipv6_that_cannot_be_parsed),
		cmocka_unit_test(walks_ipv6_extension_headers),
		cmocka_unit_test(drops_routing_headers_that_name_another_destination),
		cmocka_unit_test(drops_routed_frames_of_governed_pods_on_the_link),
		cmocka_unit_test(walks_ipv4_options),
		cmocka_unit_test(drops_source_routes_of_governed_pods),
		cmocka_unit_test(judges_first_fragments_and_marks_later_ones),
		cmocka_unit_test(checks_the_source_of_later_fragments),
		cmocka_unit_test(drops_first_fragments_without_the_whole_chain),
		cmocka_unit_test(passes_transports_of_no_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
