/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define ADDR  "198.51.100.7"
#define FIRST 0xfffffff0u /* so that sequence numbers go over their end */

static uint16_t pod_port = 20000;

/* What a resolver sends: each message with its length before it. */
struct stream {
	uint8_t b[32768];
	size_t n;
};

static void stream_put(struct stream *s, const struct dns_message *m)
{
	assert_true(s->n + 2 + m->n <= sizeof(s->b));
	s->b[s->n++] = (uint8_t)(m->n >> 8);
	s->b[s->n++] = (uint8_t)m->n;
	memcpy(s->b + s->n, m->b, m->n);
	s->n += m->n;
}

static uint32_t segment(uint8_t flags, uint32_t seq, const void *b, size_t n)
{
	return names_see_segment(&(struct names_segment){RESOLVER_V6, pod_port, flags, seq, b, n});
}

/* A new connection; its bytes begin at FIRST + 1. */
static void connected(void)
{
	pod_port++;
	assert_int_equal(segment(PACKET_TCP_SYN | PACKET_TCP_ACK, FIRST, NULL, 0),
			 (uint32_t)TC_ACT_UNSPEC);
}

static uint32_t bytes(const struct stream *s, size_t at, size_t n)
{
	return segment(PACKET_TCP_ACK, FIRST + 1 + (uint32_t)at, s->b + at, n);
}

static void passes(const struct stream *s, size_t at, size_t n)
{
	assert_int_equal(bytes(s, at, n), (uint32_t)TC_ACT_UNSPEC);
}

static void answer(struct stream *s, const char *name, const char *addr)
{
	struct dns_message m;

	dns_answer(&m, name);
	dns_addr(&m, NULL, addr, 300);
	stream_put(s, &m);
}

static void an_answer_is_learned_wherever_its_segments_end(void **state)
{
	struct stream s = {.n = 0};
	size_t first;

	names_world();
	answer(&s, "api.example.com", ADDR);
	first = s.n;
	answer(&s, "edge.cdn.example.net", "203.0.113.9");
	for (size_t cut = 0; cut <= s.n; cut++) {
		names_forget();
		connected();
		if (cut)
			passes(&s, 0, cut);
		assert_int_equal(names_of(ADDR), cut >= first ? 3 : 0);
		if (cut < s.n)
			passes(&s, cut, s.n - cut);
		assert_int_equal(names_of(ADDR), 3);
		assert_int_equal(names_of("203.0.113.9"), 8 | 16);
	}
	names_forget();
	connected();
	for (size_t at = 0; at < s.n; at++) {
		assert_int_equal(names_of(ADDR), at >= first ? 3 : 0);
		passes(&s, at, 1);
	}
	assert_int_equal(names_of("203.0.113.9"), 8 | 16);
}

static void what_comes_again_is_not_read_again(void **state)
{
	struct stream s = {.n = 0};

	names_world();
	answer(&s, "api.example.com", ADDR);
	answer(&s, "api.example.com", "203.0.113.9");
	connected();
	passes(&s, 0, 30);
	passes(&s, 0, 30);
	passes(&s, 10, 50); /* partly new */
	passes(&s, 0, s.n);
	passes(&s, 0, s.n);
	assert_int_equal(names_of(ADDR), 3);
	assert_int_equal(names_of("203.0.113.9"), 3);
	names_forget();
	passes(&s, 0, s.n);
	assert_int_equal(names_of(ADDR), 0);
}

static void beyond_a_gap_nothing_passes_until_it_is_filled(void **state)
{
	struct stream s = {.n = 0};
	uint64_t before;

	names_world();
	before = world_drops(SLU_DROP_DNS_ORDER);
	answer(&s, "api.example.com", ADDR);
	connected();
	passes(&s, 0, 20);
	assert_int_equal(bytes(&s, 40, s.n - 40), TC_ACT_SHOT);
	assert_int_equal(names_of(ADDR), 0);
	passes(&s, 20, 20);
	passes(&s, 40, s.n - 40);
	assert_int_equal(names_of(ADDR), 3);
	assert_int_equal(world_drops(SLU_DROP_DNS_ORDER) - before, 1);
}

static void a_gap_that_stays_is_given_up_after_a_second(void **state)
{
	struct stream s = {.n = 0};
	uint64_t before;

	names_world();
	before = names_counted(SLU_NAMES_UNREAD);
	answer(&s, "api.example.com", ADDR);
	connected();
	assert_int_equal(bytes(&s, 2, s.n - 2), TC_ACT_SHOT);
	usleep(1100000);
	passes(&s, 2, s.n - 2);
	assert_int_equal(names_counted(SLU_NAMES_UNREAD) - before, 1);
	passes(&s, 0, s.n); /* too late: nobody knows any more where a message begins */
	assert_int_equal(names_of(ADDR), 0);
}

static void a_stream_whose_beginning_nobody_saw_teaches_nothing(void **state)
{
	struct stream s = {.n = 0};
	uint64_t before;

	names_world();
	before = names_counted(SLU_NAMES_UNREAD);
	answer(&s, "api.example.com", ADDR);
	pod_port++;
	passes(&s, 0, s.n);
	assert_int_equal(names_of(ADDR), 0);
	assert_int_equal(names_counted(SLU_NAMES_UNREAD) - before, 1);
}

/* The pod's own zone has a text record that looks like an answer, and its segments are cut so that
 * one begins with it. */
static void what_stands_inside_an_answer_is_no_answer(void **state)
{
	struct stream s = {.n = 0}, forged = {.n = 0};
	struct dns_message m;
	size_t text;

	names_world();
	answer(&forged, "api.example.com", ADDR);
	dns_answer(&m, "text.evil.org");
	dns_pointer(&m, m.question);
	text = dns_record(&m, DNS_TYPE_TXT, 300, forged.b, forged.n);
	stream_put(&s, &m);
	connected();
	passes(&s, 0, 2 + text);
	passes(&s, 2 + text, forged.n);
	assert_int_equal(names_of(ADDR), 0);
	/* and the stream is still understood */
	s.n = 2 + text + forged.n;
	answer(&s, "api.example.com", ADDR);
	passes(&s, 2 + text + forged.n, s.n - 2 - text - forged.n);
	assert_int_equal(names_of(ADDR), 3);
}

/* As many addresses as 4096 bytes hold; what is behind is not learned, the next message is. */
static void a_long_answer_is_read_as_far_as_there_is_room(void **state)
{
	struct stream s = {.n = 0};
	struct dns_message m;
	uint64_t cut;
	size_t room;

	names_world();
	cut = names_counted(SLU_NAMES_LONG);
	dns_answer(&m, "api.example.com");
	room = (SLU_DNS_MAX - m.n) / 16;
	for (int i = 0; i < 255; i++) {
		uint8_t a[4] = {198, 51, 101, (uint8_t)i};

		dns_pointer(&m, m.question);
		dns_record(&m, DNS_TYPE_A, 300, a, sizeof(a));
	}
	m.n += 2000; /* an additional section, say */
	stream_put(&s, &m);
	answer(&s, "api.example.com", ADDR);
	connected();
	for (size_t at = 0; at < s.n; at += 1400)
		passes(&s, at, s.n - at < 1400 ? s.n - at : 1400);
	for (size_t i = 0; i < 255; i++) {
		char text[32];

		snprintf(text, sizeof(text), "198.51.101.%zu", i);
		assert_int_equal(names_of(text), i < room ? 3 : 0);
	}
	assert_int_equal(names_of(ADDR), 3);
	assert_int_equal(names_counted(SLU_NAMES_LONG) - cut, 1);
}

static void a_new_connection_on_old_ports_begins_anew(void **state)
{
	struct stream s = {.n = 0};

	names_world();
	answer(&s, "api.example.com", ADDR);
	connected();
	passes(&s, 0, 30);
	pod_port--;
	connected();
	passes(&s, 0, s.n);
	assert_int_equal(names_of(ADDR), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_learned_wherever_its_segments_end),
		cmocka_unit_test(what_comes_again_is_not_read_again),
		cmocka_unit_test(beyond_a_gap_nothing_passes_until_it_is_filled),
		cmocka_unit_test(a_gap_that_stays_is_given_up_after_a_second),
		cmocka_unit_test(a_stream_whose_beginning_nobody_saw_teaches_nothing),
		cmocka_unit_test(what_stands_inside_an_answer_is_no_answer),
		cmocka_unit_test(a_long_answer_is_read_as_far_as_there_is_room),
		cmocka_unit_test(a_new_connection_on_old_ports_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
