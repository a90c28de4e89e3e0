/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slu_from_pod on a real veth, for what a test run cannot carry: tags that the
 * kernel takes off before tc, frames shorter than an IP header, and frames whose
 * headers lie in pages that the sender shares.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define OUT4	  "198.18.4.9" /* NET_REMOTE: id 18 */
#define RING_PAGE 4096

static int pod = -1;

static int pod_socket(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll ll = {.sll_family = AF_PACKET};

	ll.sll_ifindex = (int)ifindex_of("pod0");
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

static void lab(enum world_pod kind)
{
	struct err e = {};
	struct slu_pod entry;
	uint32_t ifindex;

	world();
	if (pod < 0) {
		sh("ip link add host0 address " GATEWAY_MAC
		   " type veth peer name pod0 address " POD_MAC);
		sh("echo 1 > /proc/sys/net/ipv6/conf/pod0/disable_ipv6");
		sh("ip link set host0 up && ip link set pod0 up");
		sh("tc qdisc add dev host0 clsact");
		sh("tc filter add dev host0 ingress bpf da object-pinned " WORLD_DIR ABI_FOLDER
		   "/slu_from_pod");
		sh("nft 'add table inet t; "
		   "add chain inet t c { type filter hook prerouting priority -300; }'");
		pod = pod_socket();
	}
	entry = world_pod_make(kind, 0);
	ifindex = ifindex_of("host0");
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &ifindex, &entry, &e), &e);
}

static void sent(const struct packet *p)
{
	assert_int_equal(send(pod, p->b, p->len, 0), p->len);
}

static void expect_dropped(const struct packet *p, unsigned int reason, const char *what)
{
	uint64_t before = world_drops(reason);

	sent(p);
	world_drops_soon(reason, before + 1);
	if (world_drops(reason) != before + 1)
		fail_msg("%s: not counted as %s", what, drop_reason_name(reason));
}

/* From here on count packets of the pod that carry this mark. */
static void count_mark(uint32_t mark)
{
	sh("nft 'flush chain inet t c; add rule inet t c iifname host0 meta mark %#x counter'",
	   mark);
}

static void expect_counted(const char *what)
{
	for (int i = 0; i < 1000; i++) {
		if (!sh_status("nft list chain inet t c | grep -q 'packets 1 '"))
			return;
		usleep(10000);
	}
	fail_msg("%s: not seen behind tc", what);
}

static void marks_what_passes(void **state)
{
	struct packet p;

	lab(POD_GOVERNED);
	world_udp(&p, POD_V4, OUT4, 443);
	count_mark(WORLD_DIVERT | world_mark(18));
	sent(&p);
	expect_counted("DIVERT");
	lab(POD_FREE);
	count_mark(0);
	sent(&p);
	expect_counted("no policy");
}

/* A single tag is off before tc sees the frame; of two, the outer one. */
static void drops_tags_however_many(void **state)
{
	static const uint16_t tags[][3] = {
		{0x8100}, {0x88a8}, {0x8100, 0x8100}, {0x88a8, 0x8100}, {0x8100, 0x8100, 0x8100}};

	lab(POD_FREE);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		for (uint16_t vid = 0; vid < 2; vid++) {
			struct packet p;

			packet_eth(&p, POD_MAC, GATEWAY_MAC, 0);
			for (int j = 0; j < 3 && tags[i][j]; j++)
				packet_vlan(&p, tags[i][j], vid);
			packet_ip(&p, POD_V4, OUT4);
			packet_udp(&p, 1, 2, 30);
			packet_finish(&p);
			expect_dropped(&p, SLU_DROP_MALFORMED, "tagged");
		}
	}
}

static void drops_frames_cut_short(void **state)
{
	lab(POD_FREE);
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t len = 15; len < (v6 ? 58 : 38); len += 3) {
			struct packet p;

			world_udp(&p, v6 ? POD_V6 : POD_V4, v6 ? "2001:db8:4::9" : OUT4, 443);
			p.len = len;
			expect_dropped(&p, SLU_DROP_MALFORMED, "cut short");
		}
	}
}

/* A TX_RING's frames reach tc with 14 linear bytes, the rest in the ring's pages. */
static void ring_send(const struct packet *p)
{
	struct tpacket_req req = {.tp_block_size = RING_PAGE,
				  .tp_frame_size = RING_PAGE,
				  .tp_block_nr = 1,
				  .tp_frame_nr = 1};
	int fd = pod_socket(), version = TPACKET_V2;
	struct tpacket2_hdr *h;
	uint8_t *ring;

	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)), 0);
	ring = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(ring, MAP_FAILED);
	h = (struct tpacket2_hdr *)ring;
	memcpy(ring + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), p->b, p->len);
	h->tp_len = (uint32_t)p->len;
	h->tp_status = TP_STATUS_SEND_REQUEST;
	assert_true(send(fd, NULL, 0, 0) >= 0);
	munmap(ring, RING_PAGE);
	close(fd);
}

static void judges_frames_from_a_packet_ring(void **state)
{
	struct packet p;
	uint64_t before;

	lab(POD_GOVERNED);
	world_udp(&p, POD_V4, OUT4, 443);
	count_mark(WORLD_DIVERT | world_mark(18));
	ring_send(&p);
	expect_counted("IPv4 from a ring");
	world_udp(&p, POD_V6, "2001:db8:1::9", 443);
	count_mark(WORLD_DIVERT | world_mark(SLU_DROP_DENIED));
	ring_send(&p);
	expect_counted("IPv6 from a ring");
	before = world_drops(SLU_DROP_SPOOFED_SOURCE);
	world_udp(&p, "10.1.0.6", OUT4, 443);
	ring_send(&p);
	world_drops_soon(SLU_DROP_SPOOFED_SOURCE, before + 1);
	assert_int_equal(world_drops(SLU_DROP_SPOOFED_SOURCE), before + 1);
}

/* The figures of record: what one run costs. Not a gate. */
static void tells_what_a_run_costs(void **state)
{
	static const struct {
		const char *what, *src, *dst;
		enum world_pod pod;
	} rows[] = {
		{"IPv4, no policy", POD_V4, OUT4, POD_FREE},
		{"IPv4, inside", POD_V4, "10.2.0.1", POD_GOVERNED},
		{"IPv4, one decision", POD_V4, "198.18.0.9", POD_GOVERNED},
		{"IPv4, 15 ranges", POD_V4, "198.18.12.9", POD_GOVERNED},
		{"IPv4, diverted", POD_V4, OUT4, POD_GOVERNED},
		{"IPv6, no policy", POD_V6, "2001:db8:4::9", POD_FREE},
		{"IPv6, diverted", POD_V6, "2001:db8:4::9", POD_GOVERNED},
	};

	lab(POD_FREE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p;

		world_pod_set(rows[i].pod, 0);
		world_udp(&p, rows[i].src, rows[i].dst, 443);
		print_message("from_pod, %s: %u ns\n", rows[i].what,
			      world_time(BPF_PROG_FROM_POD, &p, 0, 200000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_what_passes),
		cmocka_unit_test(drops_tags_however_many),
		cmocka_unit_test(drops_frames_cut_short),
		cmocka_unit_test(judges_frames_from_a_packet_ring),
		cmocka_unit_test(tells_what_a_run_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
