/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define OUT BPF_PROG_MACVLAN_EGRESS
#define IN  BPF_PROG_MACVLAN_INGRESS

/* Marks are not macvlan's business: they leave as they came. */
#define ALL_MARKS SLU_MARK_MASK_DEFAULT

static const char *const pod_addr[] = {POD_V4, POD_V6};

/* An address in a network, each call another one: flows of one test do not help the next. */
static void fresh_address(enum world_net net, int v6, char buf[48])
{
	static unsigned int n;

	n++;
	snprintf(buf, 48, v6 ? "2001:db8:%x::%x" : "198.18.%d.%u", net, n % 250 + 1);
}

static struct slu_macvlan_key key(void)
{
	struct slu_macvlan_key k = {.parent = 1};

	memcpy(k.mac, ether_aton(POD_MAC), sizeof(k.mac));
	return k;
}

static void macvlan(enum world_pod kind)
{
	struct slu_pod pod = world_pod_make(kind, 0);
	struct slu_macvlan_key k = key();
	struct err e = {};

	world();
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_MACVLANS, &k, &pod, &e), &e);
}

static void forget_flows(void)
{
	struct slu_flow *flows;
	struct err e = {};
	void *values;
	size_t n;

	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_INBOUND, (void **)&flows, &values, &n, &e),
		  &e);
	for (size_t i = 0; i < n; i++)
		expect_ok(bpf_map_delete(world_pins(), BPF_MAP_INBOUND, &flows[i], &e), &e);
	free(flows);
	free(values);
}

static void passes(const struct packet *p, const char *what)
{
	world_expect_mark(OUT, p, ALL_MARKS, what);
}

static void dropped(const struct packet *p, unsigned int reason, const char *what)
{
	world_expect_drop(OUT, p, reason, what);
}

static void arrives(const char *src, const char *dst, void (*l4)(struct packet *), uint16_t frag)
{
	struct packet p;

	packet_eth(&p, GATEWAY_MAC, POD_MAC, 0);
	packet_ip(&p, src, dst);
	if (frag)
		packet_fragment(&p, 0, 1, frag);
	l4(&p);
	packet_finish(&p);
	world_expect_mark(IN, &p, ALL_MARKS, "ingress");
}

static void judges_at_the_parent(void **state)
{
	static const struct {
		enum world_net net;
		unsigned int reason;
	} rows[] = {
		{NET_AS_NODE, 0},
		{NET_DENIED, SLU_DROP_DENIED},
		{NET_REJECTED, SLU_DROP_REJECTED},
		{NET_LOCAL, SLU_DROP_VIA_UNSUPPORTED},
		{NET_REMOTE, SLU_DROP_VIA_UNSUPPORTED},
		{NET_FAMILY, SLU_DROP_VIA_UNSUPPORTED},
		{NET_NONE_OK, SLU_DROP_VIA_UNSUPPORTED},
	};

	macvlan(POD_GOVERNED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct packet p;
			char dst[48];

			fresh_address(rows[i].net, v6, dst);
			world_udp(&p, pod_addr[v6], dst, 443);
			if (rows[i].reason)
				dropped(&p, rows[i].reason, dst);
			else
				passes(&p, dst);
		}
	}
}

static void judges_by_the_kind_of_pod(void **state)
{
	static const struct {
		enum world_pod pod;
		const char *src, *dst;
		unsigned int reason;
	} rows[] = {
		{POD_FREE, POD_V4, "198.18.1.200", 0},
		{POD_FREE, POD_V4, "198.18.4.200", 0},
		{POD_QUARANTINED, POD_V4, "198.18.0.201", SLU_DROP_QUARANTINE},
		{POD_QUARANTINED, POD_V4, "10.2.0.1", 0},
		{POD_WITHOUT_MAP, POD_V6, "2001:db8:0::201", SLU_DROP_NO_POLICY},
		{POD_GOVERNED, POD_V6, "fd00:2::1", 0},
		{POD_GOVERNED, POD_V6, "ff02::fb", 0},
		{POD_GOVERNED, POD_V4, "224.0.0.251", 0},
		{POD_GOVERNED, POD_V4, "169.254.169.254", SLU_DROP_DENIED},
		{POD_GOVERNED, POD_V4, "169.254.1.1", SLU_DROP_VIA_UNSUPPORTED},
		{POD_GOVERNED, "10.1.0.6", "198.18.0.201", SLU_DROP_SPOOFED_SOURCE},
		{POD_FREE, "10.1.0.6", "198.18.0.201", SLU_DROP_SPOOFED_SOURCE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		macvlan(rows[i].pod);
		world_udp(&p, rows[i].src, rows[i].dst, 443);
		if (rows[i].reason)
			dropped(&p, rows[i].reason, rows[i].dst);
		else
			passes(&p, rows[i].dst);
	}
}

static void leaves_frames_of_others_alone(void **state)
{
	struct packet p;

	macvlan(POD_GOVERNED);
	packet_eth(&p, "02:00:00:00:00:77", GATEWAY_MAC, 0);
	packet_ip(&p, "1.2.3.4", "198.18.1.9");
	packet_udp(&p, 1, 2, 0);
	packet_finish(&p);
	passes(&p, "foreign MAC");
	packet_eth(&p, "02:00:00:00:00:77", GATEWAY_MAC, 0x88cc);
	packet_payload(&p, 0, "12345678", 8);
	passes(&p, "LLDP of the host");
	packet_eth(&p, GATEWAY_MAC, "02:00:00:00:00:77", 0);
	packet_vlan(&p, 0x8100, 5);
	packet_ip(&p, "1.2.3.4", "198.18.1.9");
	packet_udp(&p, 1, 2, 0);
	packet_finish(&p);
	world_expect_mark(IN, &p, ALL_MARKS, "ingress");
}

static void checks_well_formedness_and_neighbours(void **state)
{
	struct packet p;

	macvlan(POD_FREE);
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0x88cc);
	packet_payload(&p, 0, "12345678", 8);
	dropped(&p, SLU_DROP_MALFORMED, "LLDP");
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_arp(&p, 1, POD_MAC, POD_V4, "10.1.0.1");
	passes(&p, "ARP");
	packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
	packet_arp(&p, 1, POD_MAC, "10.1.0.6", "10.1.0.1");
	dropped(&p, SLU_DROP_SPOOFED_ARP, "ARP");
	world_frame(&p, POD_LINK_LOCAL, "ff02::1");
	packet_nd(&p, 134, NULL, 0, NULL);
	packet_finish(&p);
	dropped(&p, SLU_DROP_ROUTER_ADVERT, "RA");
	macvlan(POD_GOVERNED);
	world_frame(&p, POD_LINK_LOCAL, "fe80::1");
	packet_nd(&p, 135, "fe80::1", 1, POD_MAC);
	packet_finish(&p);
	passes(&p, "neighbour solicitation");
	world_udp(&p, POD_V4, "255.255.255.255", 8472);
	dropped(&p, SLU_DROP_FORGED_TUNNEL, "a tunnel to every node there");
	world_udp(&p, POD_V6, "ff02::1", 8472);
	dropped(&p, SLU_DROP_FORGED_TUNNEL, "the same by IPv6");
}

static void tcp_syn(struct packet *p)
{
	packet_tcp(p, 5000, 80, PACKET_TCP_SYN);
}

static void tcp_syn_ack(struct packet *p)
{
	packet_tcp(p, 5000, 80, PACKET_TCP_SYN | PACKET_TCP_ACK);
}

static void udp_in(struct packet *p)
{
	packet_udp(p, 5000, 80, 20);
}

static void echo_in(struct packet *p)
{
	packet_icmp(p, p->b[p->ip] >> 4 == 6 ? 128 : 8, 0, 77);
}

static void reply(struct packet *p, const char *src, const char *dst, int kind)
{
	bool v6 = strchr(src, ':') != NULL;

	world_frame(p, src, dst);
	if (kind == 0)
		packet_tcp(p, 80, 5000, PACKET_TCP_SYN | PACKET_TCP_ACK);
	else if (kind == 1)
		packet_udp(p, 80, 5000, 20);
	else
		packet_icmp(p, v6 ? 129 : 0, 0, 77);
	packet_finish(p);
}

static void lets_replies_to_inbound_connections_out(void **state)
{
	static void (*const requests[])(struct packet *) = {tcp_syn, udp_in, echo_in};
	static const char *const names[] = {"TCP", "UDP", "echo"};

	macvlan(POD_GOVERNED);
	for (int kind = 0; kind < 3; kind++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct packet p;
			char remote[48];

			fresh_address(NET_DENIED, v6, remote);
			reply(&p, pod_addr[v6], remote, kind);
			dropped(&p, SLU_DROP_DENIED, names[kind]);
			arrives(remote, pod_addr[v6], requests[kind], 0);
			passes(&p, names[kind]);
			/* and nothing else */
			world_udp(&p, pod_addr[v6], remote, 5001);
			dropped(&p, SLU_DROP_DENIED, "another port");
			fresh_address(NET_DENIED, v6, remote);
			reply(&p, pod_addr[v6], remote, kind);
			dropped(&p, SLU_DROP_DENIED, "another peer");
		}
	}
}

static void lets_replies_out_where_an_identity_is_asked_for(void **state)
{
	struct packet p;
	char remote[48];

	macvlan(POD_GOVERNED);
	fresh_address(NET_REMOTE, 0, remote);
	arrives(remote, POD_V4, tcp_syn, 0);
	reply(&p, POD_V4, remote, 0);
	passes(&p, "reply");
	macvlan(POD_QUARANTINED);
	passes(&p, "reply in quarantine");
}

static void takes_no_answer_for_a_request(void **state)
{
	struct packet p;
	char remote[48];

	/* TCP: an answer shows its ACK. UDP: the pod spoke first, while it was allowed to. */
	macvlan(POD_GOVERNED);
	fresh_address(NET_DENIED, 0, remote);
	arrives(remote, POD_V4, tcp_syn_ack, 0);
	reply(&p, POD_V4, remote, 0);
	dropped(&p, SLU_DROP_DENIED, "SYN-ACK is no request");
	fresh_address(NET_DENIED, 0, remote);
	macvlan(POD_FREE);
	reply(&p, POD_V4, remote, 1);
	passes(&p, "UDP, ungoverned");
	arrives(remote, POD_V4, udp_in, 0);
	macvlan(POD_GOVERNED);
	dropped(&p, SLU_DROP_DENIED, "UDP after the policy came");
}

static void follows_fragments_of_what_passed(void **state)
{
	macvlan(POD_GOVERNED);
	for (int v6 = 0; v6 < 2; v6++) {
		struct packet first, later;
		char remote[48];

		fresh_address(NET_DENIED, v6, remote);
		world_frame(&later, pod_addr[v6], remote);
		packet_fragment(&later, 1480, 0, 0x1234 + v6);
		packet_payload(&later, IPPROTO_UDP, NULL, 40);
		packet_finish(&later);
		dropped(&later, SLU_DROP_FRAGMENT, "without a first");
		world_frame(&first, pod_addr[v6], remote);
		packet_fragment(&first, 0, 1, 0x1234 + v6);
		packet_udp(&first, 80, 5000, 32);
		packet_finish(&first);
		dropped(&first, SLU_DROP_DENIED, "first, denied");
		dropped(&later, SLU_DROP_FRAGMENT, "after a denied first");
		arrives(remote, pod_addr[v6], udp_in, 9);
		passes(&first, "first of a reply");
		passes(&later, "later one of a reply");
		later.b[later.ip + (v6 ? 40 + 7 : 5)] ^= 1;
		dropped(&later, SLU_DROP_FRAGMENT, "another id");
	}
}

static void lets_fragments_of_allowed_packets_follow(void **state)
{
	struct packet p;

	macvlan(POD_GOVERNED);
	world_frame(&p, POD_V4, "198.18.0.240");
	packet_fragment(&p, 0, 1, 99);
	packet_udp(&p, 1, 2, 32);
	packet_finish(&p);
	passes(&p, "first");
	world_frame(&p, POD_V4, "198.18.0.240");
	packet_fragment(&p, 40, 0, 99);
	packet_payload(&p, IPPROTO_UDP, NULL, 40);
	packet_finish(&p);
	passes(&p, "later");
}

/* port-unreachable about the packet that arrived: the quote is what tells. */
static void unreachable(struct packet *p, const char *pod, const char *remote, const char *quoted,
			uint16_t port)
{
	bool v6 = strchr(pod, ':') != NULL;

	world_frame(p, pod, remote);
	packet_icmp(p, v6 ? 1 : 3, v6 ? 4 : 3, 0);
	packet_quote(p, remote, quoted, port);
	packet_finish(p);
}

static void lets_errors_about_inbound_packets_out(void **state)
{
	macvlan(POD_GOVERNED);
	for (int v6 = 0; v6 < 2; v6++) {
		struct packet p;
		char remote[48];

		fresh_address(NET_DENIED, v6, remote);
		unreachable(&p, pod_addr[v6], remote, pod_addr[v6], 80);
		dropped(&p, SLU_DROP_DENIED, "nothing came in");
		arrives(remote, pod_addr[v6], udp_in, 0);
		passes(&p, "about what came in");
		unreachable(&p, pod_addr[v6], remote, pod_addr[v6], 81);
		dropped(&p, SLU_DROP_DENIED, "about another port");
		unreachable(&p, pod_addr[v6], remote, v6 ? "fd00:1::6" : "10.1.0.6", 80);
		dropped(&p, SLU_DROP_SPOOFED_SOURCE, "about another pod's packet");
	}
}

static void remembers_only_what_is_for_its_pods(void **state)
{
	struct err e = {};
	void *keys, *values;
	struct packet p;
	size_t n;

	macvlan(POD_GOVERNED);
	forget_flows();
	packet_eth(&p, GATEWAY_MAC, "02:00:00:00:00:66", 0);
	packet_ip(&p, "198.18.1.9", "10.1.0.6");
	udp_in(&p);
	packet_finish(&p);
	world_expect_mark(IN, &p, ALL_MARKS, "for another MAC");
	packet_eth(&p, GATEWAY_MAC, POD_MAC, 0);
	packet_arp(&p, 1, GATEWAY_MAC, "10.1.0.1", POD_V4);
	world_expect_mark(IN, &p, ALL_MARKS, "ARP");
	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_INBOUND, &keys, &values, &n, &e), &e);
	assert_int_equal(n, 0);
	free(keys);
	free(values);
}

/* Pods of one parent reach each other, and themselves, through its ingress. */
static void takes_no_pod_for_somebody_outside(void **state)
{
	struct packet p;
	char remote[48];

	macvlan(POD_GOVERNED);
	for (int v6 = 0; v6 < 2; v6++) {
		fresh_address(NET_DENIED, v6, remote);
		packet_eth(&p, POD_MAC, POD_MAC, 0);
		packet_ip(&p, remote, pod_addr[v6]);
		udp_in(&p);
		packet_finish(&p);
		world_expect_mark(IN, &p, ALL_MARKS, "a pod with a foreign address");
		reply(&p, pod_addr[v6], remote, 1);
		dropped(&p, SLU_DROP_DENIED, "what it answers");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_at_the_parent),
		cmocka_unit_test(judges_by_the_kind_of_pod),
		cmocka_unit_test(leaves_frames_of_others_alone),
		cmocka_unit_test(checks_well_formedness_and_neighbours),
		cmocka_unit_test(lets_replies_to_inbound_connections_out),
		cmocka_unit_test(lets_replies_out_where_an_identity_is_asked_for),
		cmocka_unit_test(takes_no_answer_for_a_request),
		cmocka_unit_test(follows_fragments_of_what_passed),
		cmocka_unit_test(lets_fragments_of_allowed_packets_follow),
		cmocka_unit_test(lets_errors_about_inbound_packets_out),
		cmocka_unit_test(takes_no_pod_for_somebody_outside),
		cmocka_unit_test(remembers_only_what_is_for_its_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
