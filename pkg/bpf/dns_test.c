/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bpf/door.h"
#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ADDR	 "198.51.100.7"
#define ADDR6	 "2001:db8:77::7"

/* Between two looks at the clock a second may have begun. */
static void expect_left(const char *addr, uint32_t id, uint32_t seconds)
{
	uint32_t left = names_left(addr, id);

	if (left != seconds && left + 1 != seconds)
		fail_msg("%s, id %u: %u s left, expected %u", addr, id, left, seconds);
}

static void a_name_is_known_under_each_pattern_it_fits(void **state)
{
	static const struct {
		const char *name;
		uint32_t ids;
	} rows[] = {
		{"api.example.com", 1 | 2},
		{"API.Example.COM", 1 | 2},
		{"www.example.com", 2},
		{"b.a.example.com", 2 | 4},
		{"c.b.a.example.com", 2 | 4},
		{"a.example.com", 2},
		{"example.com", 0},
		{"notexample.com", 0},
		{"api.example.com.evil.org", 0},
		{"com", 0},
		{"x", 32},
		{"y.x", 0},
		{"", 0},
		{"1.example.org", 0},
		{"1.1.example.org", 64},
		{"api\\.example.com", 0}, /* one label with a dot in it */
		{"a.api\\.example.com", 0},
		{"x\\.y.example.com", 0},
	};

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dns_message m;

		names_forget();
		dns_answer(&m, rows[i].name);
		dns_addr(&m, NULL, ADDR, 300);
		dns_addr(&m, NULL, ADDR6, 300);
		names_tell(&m);
		if (names_of(ADDR) != rows[i].ids || names_of(ADDR6) != rows[i].ids)
			fail_msg("%s: %#x and %#x, expected %#x", rows[i].name, names_of(ADDR),
				 names_of(ADDR6), rows[i].ids);
	}
}

/* Who owns the asked name writes the answer, in some set-ups all of it: of names that it leads
 * through it says nothing. */
static void an_address_counts_for_the_asked_name_and_for_none_that_it_leads_through(void **state)
{
	struct dns_message m;

	names_world();
	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, "198.51.100.1", 300); /* of the asked name alone */
	dns_cname(&m, NULL, "Edge.cdn.example.net", 300);
	dns_addr(&m, "edge.CDN.example.net", "198.51.100.2", 300);
	dns_addr(&m, "api.example.com", "198.51.100.3", 300); /* no more the chain's name */
	dns_cname(&m, "edge.cdn.example.net", "q7.example.org", 300);
	dns_addr(&m, "q7.example.org", "198.51.100.4", 300);
	dns_addr(&m, "q8.example.org", "198.51.100.5", 300);
	names_tell(&m);
	assert_int_equal(names_of("198.51.100.1"), 1 | 2);
	assert_int_equal(names_of("198.51.100.2"), 1 | 2);
	assert_int_equal(names_of("198.51.100.3"), 0);
	assert_int_equal(names_of("198.51.100.4"), 1 | 2);
	assert_int_equal(names_of("198.51.100.5"), 0);
	names_forget();
	dns_answer(&m, "www.evil.org");
	dns_cname(&m, NULL, "edge.cdn.example.net", 300);
	dns_addr(&m, "edge.cdn.example.net", ADDR, 300);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 0);
	/* asked for itself it counts */
	dns_answer(&m, "edge.cdn.example.net");
	dns_addr(&m, NULL, ADDR, 300);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 8 | 16);
}

static void twenty_addresses_behind_a_chain_are_all_learned(void **state)
{
	struct dns_message m;
	size_t target;
	uint64_t before;

	names_world();
	before = names_counted(SLU_NAMES_LEARNED);
	dns_answer(&m, "api.example.com");
	target = dns_cname(&m, NULL, "far.example.org", 300);
	for (int i = 0; i < 20; i++) {
		uint8_t a[4] = {198, 51, 100, (uint8_t)(100 + i)};

		dns_pointer(&m, target);
		dns_record(&m, DNS_TYPE_A, 300, a, sizeof(a));
	}
	names_tell(&m);
	for (int i = 0; i < 20; i++) {
		char text[32];

		snprintf(text, sizeof(text), "198.51.100.%d", 100 + i);
		assert_int_equal(names_of(text), 1 | 2);
	}
	assert_int_equal(names_counted(SLU_NAMES_LEARNED) - before, 20);
}

static void pointers_are_followed_backwards_only(void **state)
{
	static const struct {
		uint8_t owner[8];
		size_t n;
		bool good;
	} rows[] = {
		{{0xc0, 12}, 2, true},
		{{3, 'a', 'p', 'i', 0xc0, 16}, 6, true}, /* api + example.com of the question */
		{{3, 'A', 'P', 'I', 0xc0, 16}, 6, true},
		{{0xc0, 33}, 2, false}, /* itself */
		{{0xc0, 40}, 2, false}, /* ahead */
		{{0xff, 0xff}, 2, false},
		{{1, 'a', 0xc0, 33}, 4, false}, /* round in a circle */
		{{0x40, 12}, 2, false},		/* no kind of label */
		{{0x80, 12}, 2, false},
	};

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		static const uint8_t a[4] = {198, 51, 100, 7};
		uint64_t bad = names_counted(SLU_NAMES_MALFORMED);
		struct dns_message m;

		names_forget();
		dns_answer(&m, "api.example.com");
		assert_int_equal(m.n, 33);
		memcpy(m.b + m.n, rows[i].owner, rows[i].n);
		m.n += rows[i].n;
		dns_record(&m, DNS_TYPE_A, 300, a, sizeof(a));
		names_tell(&m);
		if (names_of(ADDR) != (rows[i].good ? 3u : 0))
			fail_msg("owner %zu: %#x", i, names_of(ADDR));
		assert_int_equal(names_counted(SLU_NAMES_MALFORMED) - bad, !rows[i].good);
	}
}

static void a_name_holds_for_its_time_to_live_and_the_grace(void **state)
{
	static const struct {
		uint32_t cname, addr, seconds;
	} rows[] = {
		{300, 300, 300 + GRACE},
		{300, 200, 200 + GRACE},
		{100, 200, 100 + GRACE},
		{0, 0, MIN_TTL + GRACE},
		{5, 5000, MIN_TTL + GRACE},
		{MIN_TTL, 31, MIN_TTL + GRACE},
		{0x80000001, 300, MIN_TTL + GRACE},
		{0x7fffffff, 0x7fffffff, 604800 + GRACE},
	};
	struct dns_message m;

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		names_forget();
		dns_answer(&m, "api.example.com");
		dns_cname(&m, NULL, "far.example.org", rows[i].cname);
		dns_addr(&m, "far.example.org", ADDR, rows[i].addr);
		names_tell(&m);
		expect_left(ADDR, 1, rows[i].seconds);
	}
	/* what was promised once is not taken back */
	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, ADDR, 0);
	names_tell(&m);
	expect_left(ADDR, 1, 604800 + GRACE);
}

static void no_name_leads_inside_or_to_the_node_itself(void **state)
{
	static const char *const refused[] = {
		"10.2.3.4",
		"172.16.9.9",
		"127.0.0.1",
		"127.9.9.9",
		"0.0.0.0",
		"0.1.2.3",
		"169.254.1.1",
		"169.254.169.254",
		"224.0.0.1",
		"239.1.1.1",
		"255.255.255.255",
		"fd00::9",
		"::",
		"::1",
		"fe80::1",
		"febf::1",
		"ff02::1",
		"::ffff:198.51.100.7",
		"::ffff:10.0.0.1",
		"::198.51.100.7",
	};

	names_world();
	for (size_t i = 0; i < COUNT(refused); i++) {
		uint64_t before = names_counted(SLU_NAMES_REBOUND);
		struct dns_message m;

		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, refused[i], 300);
		dns_addr(&m, NULL, "203.0.113.77", 300);
		names_tell(&m);
		if (names_of(refused[i]) || names_of("203.0.113.77") != 3)
			fail_msg("%s", refused[i]);
		assert_int_equal(names_counted(SLU_NAMES_REBOUND) - before, 1);
	}
	assert_int_equal(names_of(ADDR), 0);
}

static void only_resolvers_are_believed(void **state)
{
	static const struct {
		const char *from;
		bool believed;
	} rows[] = {
		{RESOLVER_V4, true},  {RESOLVER_V6, true}, {"192.0.2.54", false},
		{"10.0.0.53", false}, {"fd00::53", false}, {"2001:db8:53::54", false},
	};

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t foreign = names_counted(SLU_NAMES_FOREIGN);
		struct dns_message m;
		struct packet p;

		names_forget();
		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, ADDR, 300);
		names_udp(&p, rows[i].from, m.b, m.n);
		assert_int_equal(names_see(&p), (uint32_t)TC_ACT_UNSPEC);
		assert_int_equal(names_of(ADDR), rows[i].believed ? 3 : 0);
		assert_int_equal(names_counted(SLU_NAMES_FOREIGN) - foreign, !rows[i].believed);
		/* nor a resolver's other ports */
		names_forget();
		p.b[p.l4 + 1] = 54;
		names_see(&p);
		assert_int_equal(names_of(ADDR), 0);
	}
}

static void what_is_no_answer_teaches_nothing(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		enum slu_names_count count;
	} rows[] = {
		{"a query", 2, 0x01, SLU_NAMES_FAILED},
		{"another kind of message", 2, 0xa1, SLU_NAMES_FAILED},
		{"no such name", 3, 0x83, SLU_NAMES_FAILED},
		{"server failure", 3, 0x82, SLU_NAMES_FAILED},
		{"truncated", 2, 0x83, SLU_NAMES_TRUNCATED},
		{"no question", 5, 0, SLU_NAMES_MALFORMED},
		{"two questions", 5, 2, SLU_NAMES_MALFORMED},
		{"class CHAOS asked", 32, 3, SLU_NAMES_FAILED},
	};

	names_world();
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t before = names_counted(rows[i].count);
		struct dns_message m;

		dns_answer(&m, "api.example.com");
		dns_addr(&m, NULL, ADDR, 300);
		m.b[rows[i].at] = rows[i].value;
		names_tell(&m);
		if (names_of(ADDR) || names_counted(rows[i].count) != before + 1)
			fail_msg("%s", rows[i].what);
	}
}

static void records_of_others_are_no_addresses(void **state)
{
	static const uint8_t five[5] = {198, 51, 100, 7, 0};
	struct dns_message m;

	names_world();
	dns_answer(&m, "api.example.com");
	dns_pointer(&m, 12);
	dns_record(&m, DNS_TYPE_TXT, 300, five, 4);
	dns_pointer(&m, 12);
	m.b[dns_record(&m, DNS_TYPE_A, 300, five, 4) - 7] = 3; /* class CHAOS */
	dns_addr(&m, "www.example.com", ADDR, 300);
	names_tell(&m);
	assert_int_equal(names_of(ADDR), 0);
	dns_addr(&m, NULL, "203.0.113.77", 300);
	dns_pointer(&m, 12);
	dns_record(&m, DNS_TYPE_A, 300, five, sizeof(five)); /* five bytes long: malformed */
	dns_addr(&m, NULL, ADDR, 300);
	names_tell(&m);
	assert_int_equal(names_of("203.0.113.77"), 3); /* what stood before counts */
	assert_int_equal(names_of(ADDR), 0);
}

static void an_address_with_too_many_names_forgets_the_first_to_end(void **state)
{
	struct dns_message m;

	names_world();
	for (uint32_t i = 0; i < SLU_MAX_NAMES_AT + 1; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u.test", i);
		names_pattern(name, 100 + i);
		dns_answer(&m, name);
		dns_addr(&m, NULL, ADDR, i == 3 ? 100 : 300 + i);
		names_tell(&m);
		expect_left(ADDR, 100 + i, (i == 3 ? 100 : 300 + i) + GRACE);
	}
	for (uint32_t i = 0; i < SLU_MAX_NAMES_AT + 1; i++)
		assert_int_equal(names_left(ADDR, 100 + i) != 0, i != 3);
}

static void a_first_fragment_is_read_as_far_as_it_goes(void **state)
{
	struct dns_message m;
	struct packet p = {.len = 0};
	uint64_t bad, cut;

	names_world();
	bad = names_counted(SLU_NAMES_MALFORMED);
	cut = names_counted(SLU_NAMES_LONG);
	dns_answer(&m, "api.example.com");
	dns_addr(&m, NULL, "198.51.100.1", 300);
	dns_addr(&m, NULL, ADDR, 300);
	packet_eth(&p, GATEWAY_MAC, POD_MAC, 0);
	packet_ip(&p, RESOLVER_V4, POD_V4);
	packet_fragment(&p, 0, 1, 77);
	packet_udp(&p, 53, 40000, m.n - 5);
	memcpy(p.b + p.l4 + 8, m.b, m.n - 5);
	packet_finish(&p);
	names_see(&p);
	assert_int_equal(names_of("198.51.100.1"), 3);
	assert_int_equal(names_of(ADDR), 0);
	assert_int_equal(names_counted(SLU_NAMES_MALFORMED), bad);
	assert_int_equal(names_counted(SLU_NAMES_LONG) - cut, 1);
}

/* Two answers that the kernel put together to one packet (UDP GRO): the size of each is told. */
static void answers_that_were_put_together_are_each_read(void **state)
{
	struct dns_message a, b;
	uint8_t both[1024], out[PACKET_MAX];
	struct __sk_buff ctx = {.gso_segs = 2};
	struct packet p;
	struct err e = {0};
	int fd;

	names_world();
	dns_answer(&a, "api.example.com");
	dns_addr(&a, NULL, ADDR6, 300);
	dns_answer(&b, "api.example.com");
	dns_addr(&b, NULL, ADDR, 300);
	memcpy(both, a.b, a.n);
	memcpy(both + a.n, b.b, b.n);
	names_udp(&p, RESOLVER_V4, both, a.n + b.n);
	ctx.gso_size = (uint32_t)a.n;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.b, .data_size_in = (uint32_t)p.len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));
	expect_ok(bpf_prog_fd(world_pins(), BPF_PROG_TO_POD, &fd, &e), &e);
	assert_int_equal(bpf_prog_test_run_opts(fd, &opts), 0);
	assert_int_equal(names_of(ADDR6), 3);
	assert_int_equal(names_of(ADDR), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_known_under_each_pattern_it_fits),
		cmocka_unit_test(
			an_address_counts_for_the_asked_name_and_for_none_that_it_leads_through),
		cmocka_unit_test(twenty_addresses_behind_a_chain_are_all_learned),
		cmocka_unit_test(pointers_are_followed_backwards_only),
		cmocka_unit_test(a_name_holds_for_its_time_to_live_and_the_grace),
		cmocka_unit_test(no_name_leads_inside_or_to_the_node_itself),
		cmocka_unit_test(only_resolvers_are_believed),
		cmocka_unit_test(what_is_no_answer_teaches_nothing),
		cmocka_unit_test(records_of_others_are_no_addresses),
		cmocka_unit_test(an_address_with_too_many_names_forgets_the_first_to_end),
		cmocka_unit_test(a_first_fragment_is_read_as_far_as_it_goes),
		cmocka_unit_test(answers_that_were_put_together_are_each_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
