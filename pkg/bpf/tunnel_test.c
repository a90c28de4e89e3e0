/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice0 with both its programs in a namespace, a veth under it. A test run
 * cannot carry a tunnel key, so here real frames go in and come out: requests and
 * replies that to_tunnel encapsulates are read at the veth's other end, and what
 * from_tunnel gets is written there by hand. nft counts what it lets through.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define OUT	   BPF_PROG_TO_TUNNEL
#define DEVICE_MAC "02:53:4c:55:00:01"
#define SENDER_MAC "02:53:4c:55:00:02"
#define DUT_MAC	   "02:00:00:00:01:01"
#define PEER_MAC   "02:00:00:00:01:02"
#define PORT	   5347
#define VNI_OTHER  0x1234u

static int at_peer = -1; /* packet sockets */
static int at_sluice0 = -1;

static int packet_socket(const char *ifname)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	ll.sll_ifindex = (int)ifindex_of(ifname);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

static void own(const char *endpoint, uint32_t vni, uint32_t id)
{
	struct slu_owned_key key = {world_addr(endpoint), vni};
	struct err e = {};

	expect_ok(bpf_map_set(world_pins(), BPF_MAP_OWNED, &key, &id, &e), &e);
}

static void lab(void)
{
	world();
	if (at_peer >= 0)
		return;
	sh("ip link add dut address " DUT_MAC " type veth peer name peer address " PEER_MAC);
	sh("echo 1 > /proc/sys/net/ipv6/conf/peer/disable_ipv6");
	sh("ip link set peer up && ip link set dut up");
	sh("ip addr add 10.0.0.1/24 dev dut && ip addr add fd00::1/64 dev dut nodad");
	sh("ip addr add 203.0.113.1/32 dev dut && ip addr add 203.0.113.99/32 dev dut");
	sh("ip addr add 2001:db8:e::1/128 dev dut nodad");
	sh("ip neigh add 10.0.0.2 lladdr " PEER_MAC " dev dut nud permanent");
	sh("ip neigh add fd00::2 lladdr " PEER_MAC " dev dut nud permanent");
	sh("ip neigh add fd00::3 lladdr " PEER_MAC " dev dut nud permanent");
	sh("ip route add 203.0.113.0/24 via 10.0.0.2 && ip route add 2001:db8:e::/48 via fd00::2");
	sh("ip link add sluice0 address " DEVICE_MAC " type vxlan external dstport %d", PORT);
	sh("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter");
	sh("ip addr add 169.254.83.1/32 dev sluice0 && ip link set sluice0 up");
	sh("tc qdisc add dev sluice0 clsact");
	sh("tc filter add dev sluice0 egress bpf da object-pinned " WORLD_DIR ABI_FOLDER
	   "/slu_to_tunnel");
	sh("tc filter add dev sluice0 ingress bpf da object-pinned " WORLD_DIR ABI_FOLDER
	   "/slu_from_tunnel");
	sh("nft 'add table inet t; add chain inet t c { type filter hook prerouting priority -300; "
	   "}'");
	own("203.0.113.1", SLU_VNI_ADDRESS, 16);
	own("2001:db8:e::1", SLU_VNI_ADDRESS, 17);
	own(NODE_V4, VNI_OTHER, 18);
	at_peer = packet_socket("peer");
	at_sluice0 = packet_socket("sluice0");
}

static void drain(int fd)
{
	uint8_t b[PACKET_MAX];

	while (recv(fd, b, sizeof(b), MSG_DONTWAIT) > 0)
		;
}

/* The next VXLAN frame at the veth's other end; 0 when none comes within ms. */
static size_t capture(uint8_t *b, int ms)
{
	struct pollfd pfd = {.fd = at_peer, .events = POLLIN};

	while (poll(&pfd, 1, ms) > 0) {
		ssize_t n = recv(at_peer, b, PACKET_MAX, 0);
		size_t udp = b[14] >> 4 == 6 ? 54 : 34;

		if (n > 70 && b[udp + 2] == PORT >> 8 && b[udp + 3] == (PORT & 0xff))
			return (size_t)n;
	}
	return 0;
}

static void inner(struct packet *p, const char *src, const char *dst, const char *src_mac,
		  const char *dst_mac)
{
	packet_eth(p, src_mac, dst_mac, 0);
	packet_ip(p, src, dst);
	packet_udp(p, 1000, 2000, 30);
	packet_finish(p);
}

static void send_into_tunnel(const struct packet *p, uint32_t mark)
{
	drain(at_peer);
	assert_int_equal(setsockopt(at_sluice0, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	if (send(at_sluice0, p->b, p->len, 0) < 0) /* how a drop at egress is told */
		assert_int_equal(errno, ENOBUFS);
}

static void check_outer(const uint8_t *b, const struct packet *in, const char *remote, uint32_t vni)
{
	struct slu_addr a = world_addr(remote), self = world_addr(NODE_V6);
	bool v6 = strchr(remote, ':') != NULL;
	const uint8_t *vxlan = b + (v6 ? 62 : 42);
	const uint8_t *udp = vxlan - 8;

	if (v6) {
		assert_memory_equal(b + 14 + 8, &self, 16);
		assert_memory_equal(b + 14 + 24, &a, 16);
		assert_int_equal(b[14 + 7], 64);
		assert_int_not_equal(udp[6] << 8 | udp[7], 0); /* checksum */
	} else {
		assert_memory_equal(b + 14 + 12, "\x0a\x00\x00\x01", 4);
		assert_memory_equal(b + 14 + 16, &a.w[3], 4);
		assert_int_equal(b[14 + 8], 64);
		assert_int_equal(b[14 + 6] & 0x40, 0x40); /* do not fragment */
		assert_int_equal(udp[6] << 8 | udp[7], 0);
	}
	assert_int_equal(vxlan[4] << 16 | vxlan[5] << 8 | vxlan[6], vni);
	assert_memory_equal(vxlan + 8 + 6, ether_aton(SENDER_MAC), 6);
	assert_memory_equal(vxlan + 8 + 12, in->b + 12, in->len - 12);
}

static void address_set(uint32_t id, uint32_t state, const char *endpoint, uint32_t vni)
{
	struct slu_egress a = {state, vni, world_addr("192.0.2.200"), world_addr(endpoint)};
	struct err e = {};

	expect_ok(bpf_map_set(world_pins(), BPF_MAP_ADDRS, &id, &a, &e), &e);
}

static void ends_a_request_at_the_egress_address(void **state)
{
	static const struct {
		const char *endpoint;
		uint32_t vni, state;
	} rows[] = {
		{"203.0.113.2", SLU_VNI_ADDRESS, SLU_ADDR_REMOTE},
		{"2001:db8:e::2", SLU_VNI_ADDRESS, SLU_ADDR_REMOTE},
		{PEER_V4, VNI_OTHER, SLU_ADDR_REMOTE},
		{PEER_V6, VNI_OTHER, SLU_ADDR_REMOTE},
		/* became ours meanwhile: still sent, to whatever the end is */
		{"203.0.113.2", SLU_VNI_ADDRESS, SLU_ADDR_LOCAL},
	};

	lab();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			uint8_t b[PACKET_MAX];
			struct packet p;

			address_set(1023, rows[i].state, rows[i].endpoint, rows[i].vni);
			inner(&p, v6 ? POD_V6 : POD_V4, v6 ? "2001:db8:4::9" : "198.18.4.9",
			      DEVICE_MAC, DEVICE_MAC);
			send_into_tunnel(&p, WORLD_DIVERT | world_mark(1023) | 0x5);
			if (!capture(b, 30000))
				fail_msg("nothing sent to %s", rows[i].endpoint);
			check_outer(b, &p, rows[i].endpoint, rows[i].vni);
		}
	}
}

static void ends_a_reply_at_the_node(void **state)
{
	static const struct {
		uint32_t index;
		const char *node;
	} rows[] = {{2, PEER_V4}, {3, "fd00::3"}};

	lab();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t b[PACKET_MAX];
		struct packet p;

		inner(&p, "198.18.4.9", "10.1.0.9", DEVICE_MAC, DEVICE_MAC);
		send_into_tunnel(&p, world_mark(rows[i].index) | 0x7);
		if (!capture(b, 30000))
			fail_msg("nothing sent to %s", rows[i].node);
		check_outer(b, &p, rows[i].node, SLU_VNI_ADDRESS);
	}
}

static void drops_what_has_no_way_out(void **state)
{
	static const struct {
		const char *what;
		uint32_t mark;
		unsigned int reason;
	} rows[] = {
		{"no mark", 0, SLU_DROP_TUNNEL_UNMARKED},
		{"a foreign mark", 0x1ff, SLU_DROP_TUNNEL_UNMARKED},
		{"no owner", WORLD_DIVERT | 20u << 21, SLU_DROP_NO_OWNER},
		{"a free id", WORLD_DIVERT | 22u << 21, SLU_DROP_TUNNEL_NO_ENTRY},
		{"an unused id", WORLD_DIVERT | 500u << 21, SLU_DROP_TUNNEL_NO_ENTRY},
		{"a reason that nft has not seen", WORLD_DIVERT | 3u << 21, SLU_DROP_NO_GATEWAY},
		{"CHECK that nft has not seen", WORLD_DIVERT | 15u << 21, SLU_DROP_TUNNEL_NO_ENTRY},
		{"DIVERT alone", WORLD_DIVERT, SLU_DROP_TUNNEL_NO_ENTRY},
		{"an unknown node", 700u << 21, SLU_DROP_TUNNEL_NO_ENTRY},
	};
	struct packet p;

	lab();
	inner(&p, POD_V4, "198.18.4.9", DEVICE_MAC, DEVICE_MAC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = world_drops(rows[i].reason);
		uint8_t b[PACKET_MAX];

		send_into_tunnel(&p, rows[i].mark);
		if (capture(b, 20))
			fail_msg("%s: sent", rows[i].what);
		/* the kernel's own multicast listener reports are unmarked, too */
		if (world_drops(rows[i].reason) <= before)
			fail_msg("%s: not counted as %s", rows[i].what,
				 drop_reason_name(rows[i].reason));
	}
	packet_eth(&p, DEVICE_MAC, "ff:ff:ff:ff:ff:ff", 0);
	packet_arp(&p, 1, DEVICE_MAC, "169.254.83.1", "169.254.83.2");
	world_expect_drop(OUT, &p, SLU_DROP_TUNNEL_UNMARKED, "ARP");
}

static void drops_without_an_own_address_of_the_family(void **state)
{
	struct slu_config saved, c;
	struct err e = {};
	struct packet p;
	struct world_run r;
	uint32_t zero = 0;

	lab();
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_CONFIG, &zero, &saved, &e), &e);
	c = saved;
	memset(&c.self_v4, 0, sizeof(c.self_v4));
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &c, &e), &e);
	inner(&p, POD_V4, "198.18.4.9", DEVICE_MAC, DEVICE_MAC);
	world_run(OUT, &p, WORLD_DIVERT | world_mark(18), &r);
	assert_int_equal(r.verdict, 2);
	world_run(OUT, &p, WORLD_DIVERT | world_mark(19), &r); /* over IPv6 */
	assert_int_equal((int)r.verdict, -1);
	world_run(OUT, &p, world_mark(2), &r); /* the node's IPv6 address then */
	assert_int_equal((int)r.verdict, -1);
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &saved, &e), &e);
}

static void clears_the_whole_mark_and_sets_the_sender(void **state)
{
	struct world_run r;
	struct packet p;

	lab();
	inner(&p, POD_V4, "198.18.4.9", DEVICE_MAC, DEVICE_MAC);
	world_run(OUT, &p, WORLD_DIVERT | world_mark(18) | 0x1234, &r);
	assert_int_equal((int)r.verdict, -1);
	assert_int_equal(r.mark, 0);
	assert_memory_equal(r.b + 6, ether_aton(SENDER_MAC), 6);
}

/* ---- from_tunnel ---- */

static void outer(struct packet *p, const char *src, const char *dst, uint32_t vni,
		  const struct packet *in)
{
	uint8_t *vxlan;

	packet_eth(p, PEER_MAC, DUT_MAC, 0);
	packet_ip(p, src, dst);
	packet_udp(p, 33333, PORT, 8 + in->len);
	vxlan = p->b + p->l4 + 8;
	vxlan[0] = 8;
	vxlan[4] = vni >> 16;
	vxlan[5] = vni >> 8;
	vxlan[6] = vni;
	memcpy(vxlan + 8, in->b, in->len);
	packet_finish(p);
}

static void arrives(const struct packet *p)
{
	assert_int_equal(send(at_peer, p->b, p->len, 0), p->len);
}

static bool counted(void)
{
	for (int i = 0; i < 1000; i++) {
		if (!sh_status("nft list chain inet t c | grep -q 'packets 1 '"))
			return true;
		usleep(10000);
	}
	return false;
}

/* A rule that counts packets from the tunnel with this mark and priority. */
static void count_only(uint32_t mark, uint32_t priority)
{
	sh("nft 'flush chain inet t c; add rule inet t c iifname sluice0 meta l4proto udp "
	   "meta mark %#x meta priority 0:%x counter'",
	   mark, priority);
}

static void takes_requests_and_replies(void **state)
{
	static const struct {
		const char *src, *dst;
		uint32_t vni;
		const char *in_src, *in_dst;
		uint32_t id, node; /* 0: a reply */
	} rows[] = {
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "198.18.0.1", 16, 2},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "fd00:1::9", "2001:db8::1", 16, 2},
		{PEER_V6, "2001:db8:e::1", SLU_VNI_ADDRESS, "10.1.0.9", "198.18.0.1", 17, 2},
		{PEER_V6, "2001:db8:e::1", SLU_VNI_ADDRESS, "fd00:1::9", "2001:db8::1", 17, 2},
		{PEER_V4, NODE_V4, VNI_OTHER, "10.1.0.9", "198.18.0.1", 18, 2},
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "198.18.0.1", "10.1.0.5", 0, 0},
		{PEER_V6, NODE_V6, SLU_VNI_ADDRESS, "198.18.0.1", "10.1.0.5", 0, 0},
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "2001:db8::1", "fd00:1::5", 0, 0},
	};

	lab();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* whatever the inner destination MAC, it is for us */
		const char *mac = i & 1 ? "02:00:00:00:00:99" : DEVICE_MAC;
		struct packet in, p;

		count_only(rows[i].id ? WORLD_DIVERT | world_mark(rows[i].id) : 0, rows[i].node);
		inner(&in, rows[i].in_src, rows[i].in_dst, SENDER_MAC, mac);
		outer(&p, rows[i].src, rows[i].dst, rows[i].vni, &in);
		arrives(&p);
		if (!counted())
			fail_msg("row %zu did not arrive", i);
	}
}

static void refuses_what_is_no_request_and_no_reply(void **state)
{
	static const struct {
		const char *src, *dst;
		uint32_t vni;
		const char *in_src, *in_dst;
		unsigned int reason;
	} rows[] = {
		{"10.0.0.77", "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_SENDER},
		{"fd00::77", "2001:db8:e::1", SLU_VNI_ADDRESS, "10.1.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_SENDER},
		{PEER_V4, "203.0.113.99", SLU_VNI_ADDRESS, "10.1.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_ADDRESS},
		{PEER_V4, "203.0.113.1", VNI_OTHER, "10.1.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_ADDRESS},
		{PEER_V4, NODE_V4, 0x77, "198.18.0.1", "10.1.0.5", SLU_DROP_TUNNEL_ADDRESS},
		/* requests */
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "198.18.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "172.16.0.9", "198.18.0.1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "10.1.0.5",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "172.16.0.1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "169.254.169.254",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "127.0.0.1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "10.1.0.9", "224.0.0.5",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "fd00:1::9", "fe80::1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "fd00:1::9", "::1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, "fd00:1::9", "ff0e::1",
		 SLU_DROP_TUNNEL_INNER},
		/* replies */
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "10.1.0.9", "10.1.0.5", SLU_DROP_TUNNEL_INNER},
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "198.18.0.1", "172.16.0.1",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "198.18.0.1", "198.18.0.2",
		 SLU_DROP_TUNNEL_INNER},
		{PEER_V4, NODE_V4, SLU_VNI_ADDRESS, "127.0.0.1", "10.1.0.5", SLU_DROP_TUNNEL_INNER},
	};

	lab();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = world_drops(rows[i].reason);
		struct packet in, p;

		inner(&in, rows[i].in_src, rows[i].in_dst, SENDER_MAC, DEVICE_MAC);
		outer(&p, rows[i].src, rows[i].dst, rows[i].vni, &in);
		arrives(&p);
		world_drops_soon(rows[i].reason, before + 1);
		if (world_drops(rows[i].reason) != before + 1)
			fail_msg("row %zu: not counted as %s", i, drop_reason_name(rows[i].reason));
	}
}

/* What it has seen before is no answer any more once "inside" has changed. */
static void looks_again_where_addresses_lie_after_a_change(void **state)
{
	struct slu_lpm_key outside = {.prefixlen = 96 + 15, .addr = world_addr("198.18.0.0")};
	uint32_t flags = SLU_INSIDE_ALL;
	struct packet in, p;
	struct err e = {};
	uint64_t before;

	lab();
	inner(&in, "10.1.0.9", "198.18.0.1", SENDER_MAC, DEVICE_MAC);
	outer(&p, PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, &in);
	for (int turn = 0; turn < 2; turn++) {
		count_only(WORLD_DIVERT | world_mark(16), 2);
		arrives(&p);
		assert_true(counted());
		before = world_drops(SLU_DROP_TUNNEL_INNER);
		expect_ok(bpf_map_set(world_pins(), BPF_MAP_INSIDE, &outside, &flags, &e), &e);
		expect_ok(bpf_epoch_bump(world_pins(), &e), &e);
		arrives(&p);
		world_drops_soon(SLU_DROP_TUNNEL_INNER, before + 1);
		assert_int_equal(world_drops(SLU_DROP_TUNNEL_INNER), before + 1);
		expect_ok(bpf_map_delete(world_pins(), BPF_MAP_INSIDE, &outside, &e), &e);
		expect_ok(bpf_epoch_bump(world_pins(), &e), &e);
	}
}

static void refuses_inner_frames_that_are_not_ip(void **state)
{
	uint64_t before;
	struct packet in, p;

	lab();
	before = world_drops(SLU_DROP_MALFORMED);
	packet_eth(&in, SENDER_MAC, DEVICE_MAC, 0);
	packet_arp(&in, 1, SENDER_MAC, "10.1.0.9", "10.1.0.1");
	outer(&p, PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, &in);
	arrives(&p);
	packet_eth(&in, SENDER_MAC, DEVICE_MAC, 0);
	packet_vlan(&in, 0x8100, 1);
	packet_ip(&in, "10.1.0.9", "198.18.0.1");
	packet_udp(&in, 1, 2, 20);
	packet_finish(&in);
	outer(&p, PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, &in);
	arrives(&p);
	inner(&in, "10.1.0.9", "198.18.0.1", SENDER_MAC, DEVICE_MAC);
	in.len = 14 + 20 + 2;
	outer(&p, PEER_V4, "203.0.113.1", SLU_VNI_ADDRESS, &in);
	arrives(&p);
	world_drops_soon(SLU_DROP_MALFORMED, before + 3);
	assert_int_equal(world_drops(SLU_DROP_MALFORMED), before + 3);
}

static void refuses_what_did_not_come_by_tunnel(void **state)
{
	struct packet p;

	lab();
	inner(&p, "10.1.0.9", "198.18.0.1", SENDER_MAC, DEVICE_MAC);
	world_expect_drop(BPF_PROG_FROM_TUNNEL, &p, SLU_DROP_TUNNEL_KEY, "no key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_a_request_at_the_egress_address),
		cmocka_unit_test(ends_a_reply_at_the_node),
		cmocka_unit_test(drops_what_has_no_way_out),
		cmocka_unit_test(drops_without_an_own_address_of_the_family),
		cmocka_unit_test(clears_the_whole_mark_and_sets_the_sender),
		cmocka_unit_test(takes_requests_and_replies),
		cmocka_unit_test(refuses_what_is_no_request_and_no_reply),
		cmocka_unit_test(looks_again_where_addresses_lie_after_a_change),
		cmocka_unit_test(refuses_inner_frames_that_are_not_ip),
		cmocka_unit_test(refuses_what_did_not_come_by_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
