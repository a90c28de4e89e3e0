/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody may try who writes parts of an answer, or of the packets around it: the
 * owner of a zone says what stands in his records, and a pod how long its segments are.
 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define ADDR	  "198.51.100.7"
#define OTHER	  "203.0.113.77"
#define DNS_DNAME 39
#define DNS_OPT	  41
#define DNS_HTTPS 65

/* The last n records are not among the answers but in a later section; at: 8 or 10. */
static void records_move(struct dns_message *m, size_t at, uint8_t n)
{
	m->b[7] -= n;
	m->b[at + 1] = n;
}

static void what_stands_beside_the_answer_teaches_nothing(void **state)
{
	static const size_t sections[] = {8, 10}; /* authority, additional */

	names_world();
	for (size_t i = 0; i < COUNT(sections); i++) {
		struct dns_message m;

		names_forget();
		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, OTHER, 300);
		dns_addr(&m, NULL, ADDR, 300);
		records_move(&m, sections[i], 1);
		names_tell(&m);
		assert_int_equal(names_of(OTHER), 3);
		assert_int_equal(names_of(ADDR), 0);
	}
}

/* EDNS: what resolvers put behind their answers, of the root and with a size for a class. */
static void an_answer_with_edns_is_read(void **state)
{
	struct dns_message m;
	uint64_t bad;

	names_world();
	bad = names_counted(SLU_NAMES_MALFORMED);
	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, ADDR, 300);
	dns_name(&m, "");
	dns_record(&m, DNS_OPT, 0x8000,
		   "\0\x0a\0\x08"
		   "cookies!",
		   12);
	records_move(&m, 10, 1);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 3);
	assert_int_equal(names_counted(SLU_NAMES_MALFORMED), bad);
}

/* A zone that is moved as a whole: the CNAME that comes with a DNAME says where to. */
static void a_dname_is_followed_by_the_cname_beside_it(void **state)
{
	static const uint8_t target[] = "\3far\7example\3org"; /* with its end */
	struct dns_message m;

	names_world();
	dns_answer(&m, "b.a.example.com");
	dns_name(&m, "a.example.com");
	dns_record(&m, DNS_DNAME, 300, target, sizeof(target));
	dns_cname(&m, NULL, "b.far.example.org", 300);
	dns_addr(&m, "b.far.example.org", ADDR, 300);
	dns_addr(&m, "far.example.org", OTHER, 300);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 2 | 4);
	assert_int_equal(names_of(OTHER), 0);
}

/* RFC 9460 7.3: who takes a hint asks for the address nevertheless, and that is what counts. */
static void hints_in_https_records_teach_nothing(void **state)
{
	static const uint8_t service[] = {0, 1, 0, 0, 4, 0, 4, 198, 51, 100, 7};
	struct dns_message m;
	uint64_t bad;

	names_world();
	bad = names_counted(SLU_NAMES_MALFORMED);
	dns_answer(&m, "api.example.com");
	dns_pointer(&m, m.question);
	dns_record(&m, DNS_HTTPS, 300, service, sizeof(service));
	dns_addr(&m, NULL, OTHER, 300);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 0);
	assert_int_equal(names_of(OTHER), 3);
	assert_int_equal(names_counted(SLU_NAMES_MALFORMED), bad);
}

/* A NAT64 would lead the pod to what lies inside. */
static void an_inside_address_in_nat64_s_prefix_is_not_learned(void **state)
{
	static const struct {
		const char *addr;
		bool good;
	} rows[] = {
		{"64:ff9b::10.1.2.3", false},	     {"64:ff9b::127.0.0.1", false},
		{"64:ff9b::169.254.169.254", false}, {"64:ff9b::0.0.0.0", false},
		{"64:ff9b::224.0.0.1", false},	     {"64:ff9b::172.16.9.9", false},
		{"64:ff9b::198.51.100.7", true},     {"64:ff9b::1:10.1.2.3", true},
	};

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dns_message m;

		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, rows[i].addr, 300);
		names_tell(&m);
		if (names_of(rows[i].addr) != (rows[i].good ? 3u : 0))
			fail_msg("%s: %#x", rows[i].addr, names_of(rows[i].addr));
	}
}

/* The rest of a long answer: its first bytes are what a text record says, ports and all. */
static void a_later_fragment_that_looks_like_an_answer_is_none(void **state)
{
	static const char *const from[] = {RESOLVER_V4, RESOLVER_V6};

	names_world();
	for (size_t i = 0; i < COUNT(from); i++) {
		struct packet p = {.len = 0};
		struct dns_message m;

		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, ADDR, 300);
		packet_eth(&p, GATEWAY_MAC, POD_MAC, 0);
		packet_ip(&p, from[i], i ? POD_V6 : POD_V4);
		packet_fragment(&p, 1480, 0, 77);
		packet_udp(&p, 53, 40000, m.n);
		memcpy(p.b + p.len - m.n, m.b, m.n);
		packet_finish(&p);
		assert_int_equal(names_see(&p), (uint32_t)TC_ACT_UNSPEC);
		assert_int_equal(names_of(ADDR), 0);
	}
}

/* What is behind the datagram's own end is not part of it; one that says it is longer is cut. */
static void a_datagram_ends_where_it_says(void **state)
{
	struct dns_message m;
	struct packet p;
	uint16_t len;
	size_t first;

	names_world();
	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, OTHER, 300);
	first = m.n;
	dns_addr(&m, NULL, ADDR, 300);
	names_udp(&p, RESOLVER_V4, m.b, m.n);
	len = htons((uint16_t)(8 + first));
	memcpy(p.b + p.l4 + 4, &len, sizeof(len));
	names_see(&p);
	assert_int_equal(names_of(OTHER), 3);
	assert_int_equal(names_of(ADDR), 0);
	len = htons(0xffff);
	memcpy(p.b + p.l4 + 4, &len, sizeof(len));
	names_see(&p);
	assert_int_equal(names_of(ADDR), 3);
}

/* ---- by TCP ---- */

static uint32_t segment(uint16_t port, uint8_t flags, uint32_t seq, const uint8_t *b, size_t n)
{
	return names_see_segment(&(struct names_segment){RESOLVER_V4, port, flags, seq, b, n});
}

static size_t stream_of(uint8_t *b, const char *name, const char *addr)
{
	struct dns_message m;

	dns_answer(&m, name);
	dns_addr(&m, NULL, addr, 300);
	b[0] = (uint8_t)(m.n >> 8);
	b[1] = (uint8_t)m.n;
	memcpy(b + 2, m.b, m.n);
	return m.n + 2;
}

/* Bytes that were read once are not read again, whatever a second segment says they are. */
static void of_segments_that_overlap_the_first_counts(void **state)
{
	uint8_t good[600], bad[600];
	size_t n;

	names_world();
	n = stream_of(good, "api.example.com", OTHER);
	assert_int_equal(stream_of(bad, "api.example.com", ADDR), n);
	segment(31000, PACKET_TCP_SYN | PACKET_TCP_ACK, 1000, NULL, 0);
	segment(31000, PACKET_TCP_ACK, 1001, good, n - 2);
	segment(31000, PACKET_TCP_ACK, 1001, bad, n - 2);
	segment(31000, PACKET_TCP_ACK, 1001 + 10, bad + 10, n - 10 - 1); /* one byte is new */
	segment(31000, PACKET_TCP_ACK, 1001 + (uint32_t)n - 1, good + n - 1, 1);
	assert_int_equal(names_of(ADDR), 0);
	segment(31000, PACKET_TCP_ACK, 1001, bad, n); /* and all of it again */
	assert_int_equal(names_of(ADDR), 0);
}

/* Far behind or ahead of what was read, sequence numbers round their end included. */
static void bytes_from_elsewhere_in_the_stream_teach_nothing(void **state)
{
	static const uint32_t far[] = {0x10000, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffff00};
	uint8_t b[600];
	size_t n;

	names_world();
	n = stream_of(b, "api.example.com", ADDR);
	for (size_t i = 0; i < COUNT(far); i++) {
		uint16_t port = (uint16_t)(32000 + i);

		segment(port, PACKET_TCP_SYN | PACKET_TCP_ACK, 0xfffffff0, NULL, 0);
		segment(port, PACKET_TCP_ACK, 0xfffffff1 + far[i], b, n);
		if (names_of(ADDR))
			fail_msg("%#x", far[i]);
	}
}

/* Two streams of one pod at the same time, in pieces, and a third one that nobody began. */
static void streams_do_not_run_into_one_another(void **state)
{
	uint8_t a[600], b[600];
	size_t n;

	names_world();
	n = stream_of(a, "api.example.com", OTHER);
	assert_int_equal(stream_of(b, "www.example.com", ADDR), n);
	for (uint16_t port = 33000; port < 33002; port++)
		segment(port, PACKET_TCP_SYN | PACKET_TCP_ACK, 0, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		segment(33000, PACKET_TCP_ACK, 1 + (uint32_t)i, a + i, 1);
		segment(33001, PACKET_TCP_ACK, 1 + (uint32_t)i, b + i, 1);
		segment(33002, PACKET_TCP_ACK, 1 + (uint32_t)i, b + i, 1);
	}
	assert_int_equal(names_of(OTHER), 1 | 2);
	assert_int_equal(names_of(ADDR), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_beside_the_answer_teaches_nothing),
		cmocka_unit_test(an_answer_with_edns_is_read),
		cmocka_unit_test(a_dname_is_followed_by_the_cname_beside_it),
		cmocka_unit_test(hints_in_https_records_teach_nothing),
		cmocka_unit_test(an_inside_address_in_nat64_s_prefix_is_not_learned),
		cmocka_unit_test(a_later_fragment_that_looks_like_an_answer_is_none),
		cmocka_unit_test(a_datagram_ends_where_it_says),
		cmocka_unit_test(of_segments_that_overlap_the_first_counts),
		cmocka_unit_test(bytes_from_elsewhere_in_the_stream_teach_nothing),
		cmocka_unit_test(streams_do_not_run_into_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
