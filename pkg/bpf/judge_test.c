/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/bpf_fixture.h"

#define PROG  BPF_PROG_FROM_POD
#define OUT4  "198.18.4.9" /* NET_REMOTE: id 18 */
#define OUT6  "2001:db8:4::9"
#define CHECK world_mark(SLU_ID_CHECK)

/* Every outcome of a policy, for both families. */
static void marks_each_outcome_of_a_policy(void **state)
{
	static const struct {
		enum world_net net;
		uint32_t id4, id6, divert;
		uint32_t spread;
	} rows[] = {
		{NET_AS_NODE, SLU_ID_CHECK, SLU_ID_CHECK, 0, 0},
		{NET_DENIED, SLU_DROP_DENIED, SLU_DROP_DENIED, 0, 0},
		{NET_REJECTED, SLU_DROP_REJECTED, SLU_DROP_REJECTED, 0, 0},
		{NET_LOCAL, 16, 17, 0, 0},
		{NET_REMOTE, 18, 19, WORLD_DIVERT, 0},
		{NET_NO_OWNER, SLU_DROP_NO_OWNER, SLU_DROP_NO_OWNER, 0, 0},
		{NET_OR_NODE, SLU_ID_CHECK, SLU_ID_CHECK, 0, 0},
		{NET_FAMILY, SLU_DROP_FAMILY, SLU_DROP_FAMILY, 0, 0},
		{NET_NONE_OK, SLU_ID_CHECK, SLU_ID_CHECK, 0, 0},
		{NET_NO_PICK, SLU_DROP_NO_ID, SLU_DROP_NO_ID, 0, 0},
		{NET_FREE_ID, SLU_DROP_NO_ID, SLU_DROP_NO_ID, 0, 0},
		{NET_SPREAD, 16, 16, 0, 0},
		{NET_SPREAD, 18, 18, WORLD_DIVERT, 7},
		{NET_SPREAD, 24, 24, WORLD_DIVERT, 0xfffffffe}, /* % 3 == 2 */
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;
		char dst[48];

		world_pod_set(POD_GOVERNED, rows[i].spread);
		world_net(rows[i].net, 0, dst);
		world_udp(&p, POD_V4, dst, 443);
		pod_passes(&p, rows[i].divert | world_mark(rows[i].id4), dst);
		world_net(rows[i].net, 1, dst);
		world_udp(&p, POD_V6, dst, 443);
		pod_passes(&p, rows[i].divert | world_mark(rows[i].id6), dst);
	}
}

/* One protocol and port against the ranges of NET_PORTS. */
static void finds_the_range_of_protocol_and_port(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port; /* ICMP: type << 8 | code */
		uint32_t id;   /* CHECK when 0 */
	} rows[] = {
		{IPPROTO_TCP, 79, 0},
		{IPPROTO_TCP, 80, SLU_DROP_DENIED},
		{IPPROTO_TCP, 89, SLU_DROP_DENIED},
		{IPPROTO_TCP, 90, 0},
		{IPPROTO_TCP, 65535, 0},
		{IPPROTO_TCP, 0, 0},
		{IPPROTO_UDP, 52, SLU_DROP_DENIED},
		{IPPROTO_UDP, 53, 0},
		{IPPROTO_UDP, 54, SLU_DROP_DENIED},
		{IPPROTO_SCTP, 8, 0},
		{IPPROTO_SCTP, 9, SLU_DROP_REJECTED},
		{47, 0, SLU_DROP_DENIED},
		{46, 0, 0},
		{255, 0, 0},
	};

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			uint8_t body[20] = {0x9c, 0x40, rows[i].port >> 8, rows[i].port & 0xff};
			struct packet p;
			char dst[48];

			world_net(NET_PORTS, v6, dst);
			world_frame(&p, v6 ? POD_V6 : POD_V4, dst);
			packet_payload(&p, rows[i].proto, body, sizeof(body));
			packet_finish(&p);
			snprintf(dst, sizeof(dst), "v%d protocol %u port %u", v6 ? 6 : 4,
				 rows[i].proto, rows[i].port);
			pod_passes(&p, rows[i].id ? world_mark(rows[i].id) : CHECK, dst);
		}
	}
}

static void takes_the_port_of_icmp_from_type_and_code(void **state)
{
	static const struct {
		int v6;
		uint8_t type;
		uint32_t mark;
	} rows[] = {
		{0, 7, 0},   {0, 8, WORLD_DIVERT | 18u << 21},	 {0, 9, 0},
		{1, 127, 0}, {1, 128, WORLD_DIVERT | 19u << 21}, {1, 129, 0},
	};

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;
		char dst[48];

		world_net(NET_PORTS, rows[i].v6, dst);
		world_frame(&p, rows[i].v6 ? POD_V6 : POD_V4, dst);
		packet_icmp(&p, rows[i].type, 3, 1);
		packet_quote(&p, dst, rows[i].v6 ? POD_V6 : POD_V4, 443); /* 127 is an error */
		packet_finish(&p);
		pod_passes(&p, rows[i].mark ? rows[i].mark : CHECK, dst);
	}
}

/* A policy of one class for every destination, that of the pod POD_WITHOUT_MAP. */
static void one_class(uint32_t class)
{
	struct world_prefix all = {world_prefix("::", 0), class};
	struct slu_rule rules[] = {{.action = SLU_ALLOW}, {.action = SLU_DENY}};
	struct slu_policy policy = {
		.root = world_tree(&all, 1), .first_rule = world_rules(rules, 2), .n_rules = 2};

	world_policy(99, &policy);
	world_pod_set(POD_WITHOUT_MAP, 0);
}

/* Any number of ranges gives what a linear search gives. */
static void searches_ranges_like_a_linear_search(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 4, 5, 31, 32, 33, 1000};
	static struct slu_range ranges[1000];
	uint32_t seed = 7;

	world();
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint32_t step = 65536 / sizes[s];

		for (uint32_t i = 0; i < sizes[s]; i++) {
			ranges[i].lo = i ? 17u << 16 | i * step : 0;
			ranges[i].cell = world_cell(1, i & 1, SLU_NO_RULE);
		}
		one_class(world_class(ranges, sizes[s]));
		for (int i = 0; i < 60; i++) {
			uint32_t port, range;
			struct packet p;
			char what[64];

			seed = seed * 1103515245 + 12345;
			port = i < 4 ? (uint32_t[]){0, 65535, step, step - 1}[i] & 0xffff
				     : seed >> 16;
			range = port / step;
			if (range >= sizes[s])
				range = sizes[s] - 1;
			world_udp(&p, POD_V4, "192.0.2.1", port);
			snprintf(what, sizeof(what), "%u ranges, port %u", sizes[s], port);
			pod_passes(&p, range & 1 ? world_mark(SLU_DROP_DENIED) : CHECK, what);
		}
	}
	world_policy_delete(99);
}

/* Whatever leads nowhere: closed. */
static void drops_what_cannot_be_followed_to_its_end(void **state)
{
	struct world_prefix all = {world_prefix("::", 0), 0};
	struct slu_cell cell = world_cell(1, 0, SLU_NO_RULE);
	struct slu_policy policy = {.root = 1}, saved;
	struct slu_rule rule = {.action = SLU_ALLOW};
	struct packet p;

	world();
	one_class(SLU_MAX_RANGES);
	world_udp(&p, POD_V4, OUT4, 443);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "class beyond the ranges");
	one_class(world_class_one(world_cell(1, 0xfffe, SLU_NO_RULE)));
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "rule that is not written");
	one_class(world_class_one(world_cell(1, 0, 1)));
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "identity of a rule without a via");
	all.value = world_class_one(cell);
	policy = (struct slu_policy){
		.root = world_tree(&all, 1), .first_rule = world_rules(&rule, 1), .n_rules = 1};
	saved = policy;
	world_policy(99, &policy);
	pod_passes(&p, CHECK, "sound");
	policy.first_rule = SLU_MAX_RULES;
	world_policy(99, &policy);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "rule beyond the rules");
	policy = saved;
	policy.root = 0;
	world_policy(99, &policy);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "no tree");
	policy.root = SLU_CHUNK_NODES * 300;
	world_policy(99, &policy);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "tree in a chunk that is not there");
	policy = saved;
	policy.n_sets = 1;
	policy.sets[0] = (struct slu_set_ref){SLU_CHUNK_NODES * 300, 0};
	world_policy(99, &policy);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "set in a chunk that is not there");
	policy.sets[0] = (struct slu_set_ref){policy.root, SLU_MAX_RANGES};
	world_policy(99, &policy);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "class of a set");
	world_policy_delete(99);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "policy that is not there");
}

/* A tree of nodes that lead into each other ends, and so does the packet. */
static void drops_what_a_circular_tree_decides(void **state)
{
	struct slu_tree_node nodes[2] = {};
	struct slu_policy policy = {.root = 4000};
	struct err e = {};
	struct packet p;

	world();
	for (size_t i = 0; i < SLU_TREE_WAYS; i++) {
		nodes[0].value[i] = SLU_TREE_CHILD | 3999;
		nodes[1].value[i] = SLU_TREE_CHILD | SLU_TREE_WORD | 4000;
	}
	assert_int_equal(bpf_tree_write(world_pins(), 3999, nodes, 2, &e), 0);
	world_policy(99, &policy);
	world_pod_set(POD_WITHOUT_MAP, 0);
	world_udp(&p, POD_V4, OUT4, 443);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "IPv4");
	world_udp(&p, POD_V6, OUT6, 443);
	pod_passes(&p, world_mark(SLU_DROP_NO_POLICY), "IPv6");
	world_policy_delete(99);
}

/* The same destinations for each kind of pod. */
static void judges_by_the_kind_of_pod(void **state)
{
	static const struct {
		enum world_pod pod;
		const char *src, *dst;
		uint16_t port;
		uint32_t id, divert;
	} rows[] = {
		{POD_FREE, POD_V4, OUT4, 443, 0, 0},
		{POD_FREE, POD_V4, "10.2.0.1", 443, 0, 0},
		{POD_FREE, POD_V6, OUT6, 443, 0, 0},
		{POD_GOVERNED, POD_V4, "10.2.0.1", 443, SLU_ID_CHECK, 0},
		{POD_GOVERNED, POD_V6, "fd00:2::1", 443, SLU_ID_CHECK, 0},
		{POD_GOVERNED, POD_V4, "172.31.0.1", 443, SLU_ID_CHECK, 0},
		{POD_GOVERNED, POD_V4, "224.0.0.251", 5353, 0, 0},
		{POD_GOVERNED, POD_V4, "255.255.255.255", 5353, 0, 0},
		{POD_GOVERNED, POD_V6, "ff02::fb", 5353, 0, 0},
		{POD_GOVERNED, POD_V6, "ff0e::fb", 5353, 0, 0},
		{POD_GOVERNED, POD_V4, "169.254.1.1", 80, SLU_DROP_LINK_LOCAL_VIA, 0},
		{POD_GOVERNED, POD_V4, "169.254.169.254", 80, SLU_DROP_DENIED, 0},
		{POD_GOVERNED, POD_V6, "fe80::1", 80, SLU_DROP_LINK_LOCAL_VIA, 0},
		{POD_GOVERNED, POD_LINK_LOCAL, "fe80::1", 80, SLU_DROP_LINK_LOCAL_VIA, 0},
		{POD_GOVERNED, POD_LINK_LOCAL, OUT6, 80, 19, WORLD_DIVERT},
		{POD_QUARANTINED, POD_V4, OUT4, 443, SLU_DROP_QUARANTINE, 0},
		{POD_QUARANTINED, POD_V6, OUT6, 443, SLU_DROP_QUARANTINE, 0},
		{POD_QUARANTINED, POD_V4, "10.2.0.1", 443, SLU_ID_CHECK, 0},
		{POD_QUARANTINED, POD_V6, "ff02::fb", 5353, 0, 0},
		{POD_WITHOUT_MAP, POD_V4, OUT4, 443, SLU_DROP_NO_POLICY, 0},
		{POD_WITHOUT_MAP, POD_V6, OUT6, 443, SLU_DROP_NO_POLICY, 0},
		{POD_WITHOUT_MAP, POD_V4, "10.2.0.1", 443, SLU_ID_CHECK, 0},
		{POD_EXEMPT, POD_V4, OUT4, 443, SLU_DROP_NOT_PERMITTED, 0},
		{POD_EXEMPT, "10.1.0.77", "198.18.1.1", 443, SLU_DROP_DENIED, 0},
		{POD_EXEMPT, "10.1.0.77", "198.18.0.1", 443, SLU_ID_CHECK, 0},
		{POD_EXEMPT_FREE, "10.1.0.77", OUT4, 443, 0, 0},
		/* resolvers are inside for port 53 alone */
		{POD_GOVERNED, POD_V4, "192.0.2.53", 53, SLU_ID_CHECK, 0},
		{POD_QUARANTINED, POD_V4, "192.0.2.53", 53, SLU_ID_CHECK, 0},
		{POD_QUARANTINED, POD_V4, "192.0.2.53", 54, SLU_DROP_QUARANTINE, 0},
		{POD_QUARANTINED, POD_V4, EXTERNAL_V4, 53, SLU_DROP_QUARANTINE, 0},
		{POD_QUARANTINED, POD_V6, "2001:db8:53::53", 53, SLU_ID_CHECK, 0},
		{POD_QUARANTINED, POD_V6, "2001:db8:53::53", 443, SLU_DROP_QUARANTINE, 0},
	};

	world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;
		char what[80];

		world_pod_set(rows[i].pod, 0);
		world_udp(&p, rows[i].src, rows[i].dst, rows[i].port);
		snprintf(what, sizeof(what), "row %zu to %s", i, rows[i].dst);
		pod_passes(&p, rows[i].divert | world_mark(rows[i].id), what);
	}
}

static void keep(const char *dst, uint16_t sport, uint32_t id)
{
	world_keep(IPPROTO_UDP, sport, dst, 443, id);
}

/* existingConnections: Keep. The verdict is of today, the identity of the connection's beginning.
 */
static void keeps_the_identity_of_open_connections(void **state)
{
	struct packet p;
	char local[48], denied[48];

	world_net(NET_LOCAL, 0, local);
	world_net(NET_DENIED, 0, denied);
	world_udp(&p, POD_V4, local, 443);
	keep(local, 5000, 18);
	keep(denied, 5000, 18);
	for (int flagged = 0; flagged < 2; flagged++) {
		if (flagged)
			world_pod_kept(POD_GOVERNED, 1);
		else
			world_pod_set(POD_GOVERNED, 0);
		world_frame(&p, POD_V4, local);
		packet_udp(&p, 5000, 443, 10);
		packet_finish(&p);
		pod_passes(&p, flagged ? WORLD_DIVERT | world_mark(18) : world_mark(16),
			   "kept remote");
		world_frame(&p, POD_V4, local);
		packet_udp(&p, 5001, 443, 10);
		packet_finish(&p);
		pod_passes(&p, world_mark(16), "another connection");
		world_frame(&p, POD_V4, denied);
		packet_udp(&p, 5000, 443, 10);
		packet_finish(&p);
		pod_passes(&p, world_mark(SLU_DROP_DENIED), "a verdict counts at once");
	}
	keep(local, 5000, 0);
	world_frame(&p, POD_V4, local);
	packet_udp(&p, 5000, 443, 10);
	packet_finish(&p);
	pod_passes(&p, CHECK, "began as the node");
	keep(local, 5000, 22);
	pod_passes(&p, world_mark(SLU_DROP_NO_ID), "its address is gone");
	keep(local, 5000, 16);
	world_pod_kept(POD_FREE, 0);
	pod_passes(&p, world_mark(16), "no policy selects the pod any more");
	world_frame(&p, POD_V4, local);
	packet_udp(&p, 5001, 443, 10);
	packet_finish(&p);
	pod_passes(&p, CHECK, "nor its new connections");
}

/* A connection that begins is a new one, even with the ports of one that was open. */
static void a_syn_ends_what_was_kept(void **state)
{
	static const struct {
		uint8_t flags;
		bool kept;
	} t[] = {{PACKET_TCP_ACK, true},
		 {PACKET_TCP_SYN | PACKET_TCP_ACK, true},
		 {PACKET_TCP_SYN, false},
		 {PACKET_TCP_ACK, false}};
	struct packet p;
	char local[48];

	world();
	world_net(NET_LOCAL, 0, local);
	world_keep(IPPROTO_TCP, 5000, local, 443, 18);
	world_pod_kept(POD_GOVERNED, 1);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		world_frame(&p, POD_V4, local);
		packet_tcp(&p, 5000, 443, t[i].flags);
		packet_finish(&p);
		pod_passes(&p, t[i].kept ? WORLD_DIVERT | world_mark(18) : world_mark(16), "TCP");
	}
}

static void takes_dns_over_tcp_but_not_other_protocols_as_inside(void **state)
{
	uint8_t sctp[12] = {0, 53, 0, 53};
	struct packet p;

	world();
	world_pod_set(POD_QUARANTINED, 0);
	world_frame(&p, POD_V4, "192.0.2.53");
	packet_tcp(&p, 40000, 53, PACKET_TCP_SYN);
	packet_finish(&p);
	pod_passes(&p, CHECK, "TCP");
	world_frame(&p, POD_V4, "192.0.2.53");
	packet_payload(&p, IPPROTO_SCTP, sctp, sizeof(sctp));
	packet_finish(&p);
	pod_passes(&p, world_mark(SLU_DROP_QUARANTINE), "SCTP");
}

static void never_marks_before_the_configuration_is_there(void **state)
{
	struct slu_config saved, none = {};
	struct err e = {};
	struct world_run r;
	struct packet p;
	uint32_t zero = 0;

	world();
	assert_int_equal(bpf_map_lookup(world_pins(), BPF_MAP_CONFIG, &zero, &saved, &e), 0);
	assert_int_equal(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &none, &e), 0);
	world_udp(&p, POD_V4, OUT4, 443);
	world_pod_set(POD_FREE, 0);
	world_run(PROG, &p, SLU_MARK_MASK_DEFAULT, &r);
	assert_int_equal((int)r.verdict, TC_ACT_UNSPEC);
	assert_int_equal(r.mark, SLU_MARK_MASK_DEFAULT);
	world_pod_set(POD_GOVERNED, 0);
	pod_dropped(&p, SLU_DROP_NO_POLICY, "governed");
	assert_int_equal(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &saved, &e), 0);
}

/* To all on the link, as the node is, and to its own addresses there. */
static void lets_no_governed_pod_speak_as_a_tunnel_on_its_link(void **state)
{
	static const char *const to[][2] = {{POD_V4, "255.255.255.255"},
					    {POD_V4, "224.0.0.1"},
					    {POD_V4, "169.254.83.1"},
					    {POD_V6, "ff02::1"},
					    {POD_V6, "fe80::53:1"}};
	struct packet p;

	world();
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		world_pod_set(POD_GOVERNED, 0);
		world_udp(&p, to[i][0], to[i][1], 8472);
		world_expect_drop(PROG, &p, SLU_DROP_FORGED_TUNNEL, to[i][1]);
		world_pod_set(POD_QUARANTINED, 0);
		world_expect_drop(PROG, &p, SLU_DROP_FORGED_TUNNEL, to[i][1]);
		world_pod_set(POD_FREE, 0);
		world_expect_mark(PROG, &p, 0, "no policy");
	}
	world_pod_set(POD_GOVERNED, 0);
	world_udp(&p, POD_V6, "ff02::1", 8473);
	world_expect_mark(PROG, &p, 0, "another port");
}

/* To a node, or to whom translation may make one of. */
static void lets_no_governed_pod_speak_as_a_tunnel(void **state)
{
	static const char *const to[][2] = {
		{POD_V4, "10.9.8.7"}, {POD_V4, "172.16.0.1"}, {POD_V6, "fd00::7"}};
	static const uint16_t ports[] = {4789, 6081, 6784, 8472};
	static const uint8_t protos[] = {IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE};
	struct packet p;

	world();
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		for (int pod = POD_GOVERNED; pod <= POD_GOVERNED + 1; pod++) {
			world_pod_set(pod == POD_GOVERNED ? POD_GOVERNED : POD_QUARANTINED, 0);
			for (size_t k = 0; k < sizeof(ports) / sizeof(ports[0]); k++) {
				world_udp(&p, to[i][0], to[i][1], ports[k]);
				world_expect_drop(PROG, &p, SLU_DROP_FORGED_TUNNEL, to[i][1]);
				world_udp(&p, to[i][0], to[i][1], (uint16_t)(ports[k] + 1));
				world_expect_mark(PROG, &p, CHECK, "another port");
			}
		}
		world_pod_set(POD_FREE, 0);
		world_udp(&p, to[i][0], to[i][1], 8472);
		world_expect_mark(PROG, &p, 0, "no policy");
	}
	world_pod_set(POD_GOVERNED, 0);
	for (size_t k = 0; k < sizeof(protos); k++) {
		world_udp(&p, POD_V4, "10.9.8.7", 9);
		p.b[14 + 9] = protos[k];
		world_expect_drop(PROG, &p, SLU_DROP_FORGED_TUNNEL, "a protocol");
	}
	/* a node's ExternalIP, which is outside otherwise (judges_by_the_kind_of_pod) */
	world_udp(&p, POD_V4, EXTERNAL_V4, 8472);
	world_expect_drop(PROG, &p, SLU_DROP_FORGED_TUNNEL, "an ExternalIP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_each_outcome_of_a_policy),
		cmocka_unit_test(finds_the_range_of_protocol_and_port),
		cmocka_unit_test(takes_the_port_of_icmp_from_type_and_code),
		cmocka_unit_test(searches_ranges_like_a_linear_search),
		cmocka_unit_test(drops_what_cannot_be_followed_to_its_end),
		cmocka_unit_test(drops_what_a_circular_tree_decides),
		cmocka_unit_test(judges_by_the_kind_of_pod),
		cmocka_unit_test(keeps_the_identity_of_open_connections),
		cmocka_unit_test(a_syn_ends_what_was_kept),
		cmocka_unit_test(takes_dns_over_tcp_but_not_other_protocols_as_inside),
		cmocka_unit_test(lets_no_governed_pod_speak_as_a_tunnel),
		cmocka_unit_test(lets_no_governed_pod_speak_as_a_tunnel_on_its_link),
		cmocka_unit_test(never_marks_before_the_configuration_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
