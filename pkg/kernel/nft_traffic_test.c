/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table does to packets: real connections through the real conntrack, in
 * the laboratory of testkit/nft_lab.h. Every rule that nft.h describes is met.
 */
#include "kernel/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/drop_reasons.h"
#include "testkit/netns_fixture.h"
#include "testkit/nft_lab.h"

#define EXT4  LAB_EXT4
#define EXT6  LAB_EXT6
#define POD4  LAB_POD4
#define POD6  LAB_POD6
#define SOON  LAB_SOON
#define NEVER LAB_NEVER

static void an_id_leaves_as_its_address(void **state)
{
	struct lab *l = lab_fresh(state);

	sh("nft add chain inet t cni '{ type nat hook postrouting priority -10; }' && "
	   "nft add rule inet t cni oifname e0 masquerade");
	lab_mark_pod(LAB_ID(16));
	lab_pod_is_seen_as(l, true, "203.0.113.10");
	sh("conntrack -L -s " POD4 " 2>/dev/null | grep -q zone-orig=16");
	lab_mark_pod(LAB_ID(18));
	lab_pod_is_seen_as(l, false, "2001:db8::10");
	sh("conntrack -f ipv6 -L -s " POD6 " 2>/dev/null | grep -q zone-orig=18");
	lab_mark_pod(0);
	lab_pod_is_seen_as(l, true, "203.0.113.1");
	assert_false(lab_foreign_lost());
}

static void another_id_is_another_zone_at_once(void **state)
{
	struct lab *l = lab_fresh(state);
	int server = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int client = lab_socket(l->pod, SOCK_DGRAM, POD4, 4000);

	lab_mark_pod(LAB_ID(16));
	lab_datagram(client, EXT4, 7, server, "203.0.113.10");
	lab_mark_pod(LAB_ID(17));
	lab_datagram(client, EXT4, 7, server, "203.0.113.11");
	lab_mark_pod(LAB_ID(16));
	lab_datagram(client, EXT4, 7, server, "203.0.113.10");
	close(client);
	close(server);
}

/* Invalid to conntrack, so nothing translates it. */
static void reset_out_of_nowhere(int ns, const char *from, const char *to)
{
	static const uint8_t reset[20] = {0x1f, 0x90, 0, 80, [12] = 0x50, [13] = 0x14};
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int raw = lab_socket(ns, SOCK_RAW, from, 0);

	inet_pton(AF_INET, to, &sa.sin_addr);
	assert_int_equal(sendto(raw, reset, sizeof(reset), 0, (struct sockaddr *)&sa, sizeof(sa)),
			 sizeof(reset));
	close(raw);
}

static void nothing_leaves_without_its_address(void **state)
{
	struct lab *l = lab_fresh(state);

	lab_mark_pod(LAB_ID(20)); /* no such address here */
	lab_pod_is_seen_as(l, true, NULL);
	lab_pod_is_seen_as(l, false, NULL);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 2);
	lab_mark_pod(LAB_ID(16)); /* an address of the other family only */
	lab_pod_is_seen_as(l, false, NULL);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 3);
	reset_out_of_nowhere(l->pod, POD4, EXT4);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 4);
}

static void diverted_packets_enter_the_tunnel_as_the_pod(void **state)
{
	struct lab *l = lab_fresh(state);
	int far4 = lab_socket(l->tun, SOCK_DGRAM, EXT4, 7);
	int far6 = lab_socket(l->tun, SOCK_DGRAM, EXT6, 7);
	int c4 = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	int c6 = lab_socket(l->pod, SOCK_DGRAM, POD6, 0);

	sh("nft add chain inet t cni '{ type nat hook postrouting priority -10; }' && "
	   "nft add rule inet t cni masquerade");
	sh("iptables -t nat -A POSTROUTING -j MASQUERADE");
	lab_mark_pod(LAB_DIVERT | LAB_ID(900));
	lab_datagram(c4, EXT4, 7, far4, POD4);
	sh("conntrack -L -s " POD4 " 2>/dev/null | grep -q 'mark=%u '", LAB_DIVERT);
	lab_datagram(c6, EXT6, 7, far6, POD6);
	lab_expect_counted(l, SLU_DROP_TUNNEL_STATE, 0); /* the answers came home */
	assert_false(lab_foreign_lost());
	sh("ip rule del fwmark 0x%x/0x%x", LAB_DIVERT, LAB_DIVERT);
	lab_pod_is_seen_as(l, true, NULL);
	lab_expect_counted(l, SLU_DROP_EXIT_DEVICE, 1);
	close(far4), close(far6), close(c4), close(c6);
}

/* As long as the table is there. Without it, DIVERT leads everything into sluice0. */
static void nothing_leaves_when_the_table_is_gone(void **state)
{
	static const uint32_t marks[] = {LAB_ID(16), LAB_ID(SLU_ID_CHECK), LAB_ID(SLU_DROP_DENIED),
					 LAB_DIVERT | LAB_ID(900)};
	struct lab *l = lab_fresh(state);
	int far = lab_socket(l->tun, SOCK_DGRAM, EXT4, 7);

	sh("nft add chain inet t cni '{ type nat hook postrouting priority 100; }' && "
	   "nft add rule inet t cni oifname e0 masquerade");
	expect_ok(nft_delete(l->n, &l->e), &l->e);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		lab_mark_pod(marks[i]);
		lab_pod_is_seen_as(l, true, NULL);
	}
	close(far);
}

static void a_process_does_not_speak_as_an_egress_address(void **state)
{
	struct lab *l = lab_fresh(state);

	sh("ip addr add 203.0.113.10/32 dev lo");
	sh("ping -c 1 -W 1 -I 203.0.113.10 " EXT4 " >/dev/null 2>&1 || true");
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 1);
}

/* An error about an answer belongs to the connection, in its original direction, but has no mark.
 */
static void a_gateway_says_that_a_reply_is_too_big_for_the_tunnel(void **state)
{
	struct lab *l = lab_fresh(state);
	int server = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7), discover = IP_PMTUDISC_DO;
	int client = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 4000);
	char big[1401];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	setsockopt(server, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
	lab_sh(l->tun, "ip addr del " EXT4 "/32 dev lo");
	sh("ip link set sluice0 mtu 1300");
	lab_mark_tunnel(LAB_ID(16), 14);
	lab_datagram(client, EXT4, 7, server, "203.0.113.10");
	assert_int_equal(lab_send(server, "203.0.113.10", 4000, big), 0);
	for (int i = 0; i < 1000 && lab_send(server, "203.0.113.10", 4000, big) == 0; i++)
		usleep(10000);
	assert_int_equal(lab_send(server, "203.0.113.10", 4000, big), -EMSGSIZE);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 0);
	close(server), close(client);
}

/* The node index is an id of an address too (700): the exit guard must not mistake it. */
static void a_gateway_sends_replies_back_to_the_node(void **state)
{
	struct lab *l = lab_fresh(state);
	int s4 = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int s6 = lab_socket(l->ext, SOCK_DGRAM, EXT6, 7);
	int c4 = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 0);
	int c6 = lab_socket(l->tun, SOCK_DGRAM, "fd09::5", 0);
	static const uint32_t nodes[] = {14, 700};
	size_t i;

	lab_sh(l->tun, "ip addr del " EXT4 "/32 dev lo; ip addr del " EXT6 "/128 dev lo");
	sh("nft add counter inet t home && nft add chain inet t ctm '{ type filter hook prerouting "
	   "priority -180; }' && nft add rule inet t ctm ct mark set ct mark or 0x77");
	for (i = 0; i < 2; i++) {
		sh("nft add rule inet t post oifname sluice0 meta mark '&' 0xffe00000 == 0x%x "
		   "counter name home",
		   LAB_ID(nodes[i]));
		lab_mark_tunnel(LAB_ID(16), nodes[i]);
		lab_datagram(c4, EXT4, 7, s4, "203.0.113.10");
		sh("conntrack -L -s 10.9.0.5 2>/dev/null | grep -q 'mark=%u '",
		   LAB_ID(nodes[i]) | 0x77);
		lab_mark_tunnel(LAB_ID(18), nodes[i]);
		lab_datagram(c6, EXT6, 7, s6, "2001:db8::10");
	}
	sh("nft list counter inet t home | grep -q 'packets 4 '");
	/* the pod has moved, and its connection with it */
	lab_mark_tunnel(LAB_ID(16), nodes[0]);
	lab_datagram(c4, EXT4, 7, s4, "203.0.113.10");
	sh("conntrack -L -s 10.9.0.5 2>/dev/null | grep -q 'mark=%u '", LAB_ID(nodes[0]) | 0x77);
	close(s4), close(s6), close(c4), close(c6);
}

static void tunnel_packets_of_no_connection_are_dropped(void **state)
{
	struct lab *l = lab_fresh(state);
	int server = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int client = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 0);

	lab_sh(l->tun, "ip addr del " EXT4 "/32 dev lo");
	lab_mark_tunnel(LAB_ID(16), 99); /* no such node */
	lab_datagram(client, EXT4, 7, server, NULL);
	lab_mark_tunnel(0, 14); /* as a reply, but there was no question */
	lab_datagram(client, EXT4, 7, server, NULL);
	lab_expect_counted(l, SLU_DROP_TUNNEL_STATE, 2);
	lab_mark_tunnel(LAB_ID(16), 14);
	lab_datagram(client, EXT4, 7, server, "203.0.113.10");
	/* its node goes: the reply has nowhere to go */
	lab_send(client, EXT4, 7, "x");
	{
		uint16_t port;
		const char *from = lab_receive(server, SOON, &port);

		assert_non_null(from);
		l->m.nodes = l->nodes + 1, l->m.n_nodes = 1;
		lab_apply(l);
		lab_send(server, from, port, "y");
	}
	assert_null(lab_receive(client, NEVER, NULL));
	lab_expect_counted(l, SLU_DROP_TUNNEL_NO_ENTRY, 1);
	close(server), close(client);
}

static void replies_to_inbound_connections_pass_every_verdict(void **state)
{
	struct lab *l = lab_fresh(state);
	int pod = lab_socket(l->pod, SOCK_DGRAM, POD4, 80);
	int client = lab_socket(l->ext, SOCK_DGRAM, EXT4, 0);
	static const uint32_t marks[] = {LAB_ID(SLU_DROP_DENIED),   LAB_ID(SLU_DROP_REJECTED),
					 LAB_ID(SLU_DROP_FRAGMENT), LAB_ID(16),
					 LAB_DIVERT | LAB_ID(16),   LAB_ID(SLU_ID_CHECK)};
	size_t i;

	sh("nft add chain inet t svc '{ type nat hook prerouting priority -100; }' && "
	   "nft add rule inet t svc ip daddr 203.0.113.1 udp dport 8080 dnat ip to " POD4 ":80");
	lab_sh(l->ext, "ip route add 10.0.0.0/24 via 203.0.113.1");
	for (i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		uint16_t port;
		const char *from;

		lab_mark_pod(marks[i]);
		lab_send(client, "203.0.113.1", 8080, "x");
		from = lab_receive(pod, SOON, &port);
		assert_non_null(from);
		lab_send(pod, from, port, "y");
		from = lab_receive(client, SOON, NULL);
		assert_non_null(from);
		assert_string_equal(from, "203.0.113.1");
		lab_sh(l->ext, "ping -c1 -W10 -s 3000 " POD4); /* and fragments */
	}
	lab_expect_counted(l, SLU_DROP_DENIED, 0);
	assert_false(lab_foreign_lost());
	close(pod), close(client);
}

static void verdicts_are_dropped_and_counted_by_reason(void **state)
{
	struct lab *l = lab_fresh(state);
	unsigned int reason;

	for (reason = 1; reason < SLU_MARK_REASONS; reason++) {
		if (reason == SLU_DROP_REJECTED)
			continue;
		lab_mark_pod(LAB_ID(reason));
		lab_pod_is_seen_as(l, reason % 2, NULL);
		lab_expect_counted(l, reason, 1);
	}
}

/* An error comes back to the socket; the next packet is not sent, but says so. */
static void hears_of(int fd, int error)
{
	struct pollfd p = {.fd = fd};

	assert_int_equal(poll(&p, 1, SOON), 1);
	assert_int_equal(send(fd, "x", 1, 0), -1);
	assert_int_equal(errno, error);
}

static void rejected_connections_hear_of_it(void **state)
{
	struct lab *l = lab_fresh(state);
	int t4 = lab_socket(l->pod, SOCK_STREAM, POD4, 0);
	int t6 = lab_socket(l->pod, SOCK_STREAM, POD6, 0);
	int u4 = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	int u6 = lab_socket(l->pod, SOCK_DGRAM, POD6, 0);
	int i;

	lab_mark_pod(LAB_ID(SLU_DROP_REJECTED));
	assert_int_equal(lab_connect(t4, EXT4, 80, SOON), -ECONNREFUSED);
	assert_int_equal(lab_connect(t6, EXT6, 80, SOON), -ECONNREFUSED);
	assert_int_equal(lab_connect(u4, EXT4, 80, 0), 0);
	assert_int_equal(lab_connect(u6, EXT6, 80, 0), 0);
	assert_int_equal(send(u4, "x", 1, 0), 1);
	assert_int_equal(send(u6, "x", 1, 0), 1);
	hears_of(u4, EHOSTUNREACH);
	hears_of(u6, EACCES);
	lab_expect_counted(l, SLU_DROP_REJECTED, 4);
	for (i = 0; i < 500; i++)
		send(u4, "x", 1, 0);
	assert_in_range(lab_counted(l, SLU_DROP_REJECTED), 200,
			504); /* a send may fail with the last answer */
	close(t4), close(t6), close(u4), close(u6);
}

static void the_gateway_itself_is_not_reached_by_an_egress_address(void **state)
{
	struct lab *l = lab_fresh(state);
	int here = lab_socket(-1, SOCK_DGRAM, "0.0.0.0", 9);
	int c4 = lab_socket(l->ext, SOCK_DGRAM, EXT4, 0);
	int c6 = lab_socket(l->ext, SOCK_DGRAM, EXT6, 0);

	lab_send(c4, "203.0.113.10", 9, "x");
	assert_null(lab_receive(here, NEVER, NULL));
	lab_send(c6, "2001:db8::10", 9, "x");
	lab_expect_counted(l, SLU_DROP_INPUT_GUARD, 2);
	reset_out_of_nowhere(l->ext, EXT4, "203.0.113.10");
	lab_expect_counted(l, SLU_DROP_INPUT_GUARD, 3);
	/* neighbour discovery found it nevertheless */
	lab_sh(l->ext, "ip -6 neigh show 2001:db8::10 | grep -q lladdr");
	lab_send(c4, "203.0.113.11", 9, "x"); /* the node's own address as an egress address */
	assert_non_null(lab_receive(here, SOON, NULL));
	close(here), close(c4), close(c6);
}

/* Connection errors belong to the connection, whichever way they go. */
static void errors_are_replies_too(void **state)
{
	struct lab *l = lab_fresh(state);
	int c4 = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	int c6 = lab_socket(l->pod, SOCK_DGRAM, POD6, 0);
	int i;

	assert_int_equal(lab_connect(c4, EXT4, 99, 0), 0);
	assert_int_equal(lab_connect(c6, EXT6, 99, 0), 0);
	lab_mark_pod(LAB_ID(16)); /* port unreachable, from the server */
	assert_int_equal(send(c4, "x", 1, 0), 1);
	hears_of(c4, ECONNREFUSED);
	lab_mark_pod(LAB_ID(18));
	assert_int_equal(send(c6, "x", 1, 0), 1);
	hears_of(c6, ECONNREFUSED);
	sh("ip link set e0 mtu 1300"); /* too big, from the node; the second time it fits in pieces
					*/
	for (i = 0; i < 2; i++)
		sh_status("nsenter --net=/proc/%d/fd/%d ping -c1 -W1 -s 1400 -M do %s",
			  (int)getpid(), l->pod, EXT4);
	lab_sh(l->pod, "ip route get " EXT4 " | grep -q mtu.1300");
	close(c4), close(c6);
}

static void nobody_forges_the_tunnel(void **state)
{
	struct lab *l = lab_fresh(state);
	int server = lab_socket(l->ext, SOCK_DGRAM, EXT4, 5347);
	int process = lab_socket(-1, SOCK_DGRAM, "203.0.113.1", 0);
	int pod4 = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	int pod6 = lab_socket(l->pod, SOCK_DGRAM, POD6, 0), far;

	assert_int_equal(lab_send(process, EXT4, 5347, "x"), -EPERM);
	lab_send(pod4, EXT4, 5347, "x");
	lab_send(pod6, EXT6, 5347, "x");
	assert_null(lab_receive(server, NEVER, NULL));
	lab_expect_counted(l, SLU_DROP_FORGED_TUNNEL, 3);
	lab_mark_pod(LAB_ID(16)); /* under its egress address, which may be a node's */
	lab_send(pod4, EXT4, 5347, "x");
	lab_mark_pod(LAB_ID(SLU_ID_CHECK)); /* or under the node's */
	lab_send(pod4, EXT4, 5347, "x");
	lab_mark_pod(0);
	lab_mark_tunnel(LAB_ID(16), 14); /* or by a tunnel through this gateway */
	lab_sh(l->tun, "ip addr del " EXT4 "/32 dev lo");
	far = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 0);
	lab_send(far, EXT4, 5347, "x");
	assert_null(lab_receive(server, NEVER, NULL));
	lab_expect_counted(l, SLU_DROP_FORGED_TUNNEL, 6);
	/* the kernel's own passes, and nobody tracks it */
	sh("ip link add vx type vxlan id 5 remote " EXT4 " dstport 5347 local 203.0.113.1 && "
	   "ip link set vx addrgenmode none && ip addr add 10.77.0.1/24 dev vx && "
	   "ip link set vx group %d && " /* told by it, as sluice0 is */
	   "ip link set vx up && ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:01 dev vx",
	   SLU_DEVICE_GROUP);
	lab_send(pod4, "10.77.0.2", 7, "x");
	assert_non_null(lab_receive(server, SOON, NULL));
	sh("! conntrack -L 2>/dev/null | grep dport=5347");
	lab_expect_counted(l, SLU_DROP_FORGED_TUNNEL, 6);
	close(server), close(process), close(pod4), close(pod6), close(far);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_id_leaves_as_its_address),
		TEST(another_id_is_another_zone_at_once),
		TEST(nothing_leaves_without_its_address),
		TEST(diverted_packets_enter_the_tunnel_as_the_pod),
		TEST(nothing_leaves_when_the_table_is_gone),
		TEST(a_process_does_not_speak_as_an_egress_address),
		TEST(a_gateway_sends_replies_back_to_the_node),
		TEST(a_gateway_says_that_a_reply_is_too_big_for_the_tunnel),
		TEST(tunnel_packets_of_no_connection_are_dropped),
		TEST(replies_to_inbound_connections_pass_every_verdict),
		TEST(verdicts_are_dropped_and_counted_by_reason),
		TEST(rejected_connections_hear_of_it),
		TEST(the_gateway_itself_is_not_reached_by_an_egress_address),
		TEST(errors_are_replies_too),
		TEST(nobody_forges_the_tunnel),
	};

	return cmocka_run_group_tests_name("nft traffic", tests, NULL, NULL);
}
