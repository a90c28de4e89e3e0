/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table as the kernel holds it: built, recognised as equal, and mended after
 * every kind of damage. nft(8) does the damage and is the second opinion.
 */
#include "kernel/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"
#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

#define A addr_of
#define C cidr_of

struct fixture {
	struct nft *n;
	struct nft_model m;
	struct nft_address addresses[4];
	uint32_t nodes[3];
	struct cidr inside[5];
	struct addr ends[3];
	struct err e;
};

static struct fixture *fresh(void **state)
{
	struct fixture *f = *state;

	netns_fresh();
	f->addresses[0] = (struct nft_address){16, A("203.0.113.10"), true};
	f->addresses[1] = (struct nft_address){17, A("203.0.113.11"), false};
	f->addresses[2] = (struct nft_address){18, A("2001:db8::10"), true};
	f->addresses[3] = (struct nft_address){1023, A("2001:db8::11"), true};
	f->nodes[0] = 1;
	f->nodes[1] = 14;
	f->nodes[2] = 1023;
	f->inside[0] = C("10.0.0.0/9");
	f->inside[1] = C("10.128.0.0/9"); /* touches the one before */
	f->inside[2] = C("172.16.0.0/12");
	f->inside[3] = C("255.0.0.0/8"); /* to the end */
	f->inside[4] = C("fd00::/8");
	f->ends[0] = A("192.0.2.1");
	f->ends[1] = A("203.0.113.10");
	f->ends[2] = A("2001:db8::1");
	f->m = (struct nft_model){.mark_mask = SLU_MARK_MASK_DEFAULT,
				  .port = SLU_TUNNEL_PORT_DEFAULT,
				  .addresses = f->addresses,
				  .n_addresses = 4,
				  .nodes = f->nodes,
				  .n_nodes = 3,
				  .inside = f->inside,
				  .n_inside = 5,
				  .tunnel_ends = f->ends,
				  .n_tunnel_ends = 3};
	expect_ok(nft_open(&f->n, &f->e), &f->e);
	return f;
}

static int setup(void **state)
{
	*state = mem_alloc0(sizeof(struct fixture));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nft_close(f->n);
	free(f);
	return 0;
}

static void observes(struct fixture *f, int level)
{
	expect_rc(nft_observe(f->n, &f->m, &f->e), level, &f->e);
}

static void applies(struct fixture *f)
{
	expect_ok(nft_apply(f->n, &f->m, &f->e), &f->e);
	observes(f, 0);
}

/* Another handle means that the table was built anew. */
static unsigned int table_handle(void)
{
	const char *p;
	char buf[1024];
	unsigned int handle = 0;

	sh_output(buf, sizeof(buf), "nft -j list tables inet");
	p = strstr(buf, "\"sluice\", \"handle\": ");
	assert_non_null(p);
	assert_int_equal(sscanf(p, "\"sluice\", \"handle\": %u", &handle), 1);
	return handle;
}

static void is_built_and_recognised(void **state)
{
	struct fixture *f = fresh(state);

	observes(f, 2);
	applies(f);
	sh("nft -j list table inet sluice | grep -q prerouting_marks");
	sh("nft list set inet sluice inside4 | grep -q '10.0.0.0/8, 172.16.0.0/12'");
	sh("nft list set inet sluice inside4 | grep -q 255.0.0.0/8");
	sh("nft list map inet sluice snat4 | grep -q '0x02000000 : 203.0.113.10'");
	expect_ok(nft_delete(f->n, &f->e), &f->e);
	observes(f, 2);
	expect_ok(nft_delete(f->n, &f->e), &f->e);
}

/* What somebody else may do to it, and whether the static part must be built anew then. */
#define T    "inet sluice "
#define RULE "$(nft -a list chain " T
static const struct damage {
	const char *command;
	int level;
} damages[] = {
	{"delete table inet sluice", 2},

	{"'add table inet sluice { flags dormant; }'", 2},
	{"flush chain " T "replies", 2},
	{"flush chain " T "arrived", 2},
	{"flush chain " T "rejected", 2},
	{"flush chain " T "service", 2},
	{"flush chain " T "prerouting_raw", 2},
	{"flush chain " T "raw_plain", 2},
	{"flush chain " T "prerouting_marks", 2},
	{"flush chain " T "prerouting_first", 2},
	{"flush chain " T "input_first", 2},
	{"flush chain " T "output_tunnel", 2},
	{"flush chain " T "outgoing", 2},
	{"flush chain " T "postrouting_nat", 2},
	{"flush chain " T "postrouting_exit", 2},
	{"insert rule " T "postrouting_exit accept", 2},
	{"add rule " T "prerouting_marks drop", 2},
	{"insert rule " T "input_first counter", 2},
	{"delete rule " T "postrouting_exit handle " RULE
	 "postrouting_exit | sed -n '/its own/s/.*handle //p')",
	 2},
	{"replace rule " T "forged handle " RULE
	 "forged | sed -n '/by a pod/s/.*handle //p') udp dport 5348 accept",
	 2},
	{"replace rule " T "prerouting_raw handle " RULE
	 "prerouting_raw | sed -n '/a zone/s/.*handle //p') ct reply zone set 7",
	 2},
	{"'chain inet sluice postrouting_exit { policy drop; }'", 2},
	{"'add chain inet sluice more { type filter hook forward priority -400; }'", 2},
	{"add chain " T "more", 2},
	{"'add set inet sluice more { type mark; }'", 2},
	{"add counter " T "more", 2},
	{"add quota " T "more 10 mbytes", 2},
	{"add chain " T "node-7", 1},
	{"add rule " T "node-14 drop", 1},
	{"flush chain " T "node-14", 1},
	{"delete element " T "inside4 { 10.0.0.0/8 }", 1},
	{"add element " T "inside4 { 11.0.0.0/8, 198.51.100.3-198.51.100.7, 0.0.0.0/6 }", 1},
	{"flush set " T "inside4", 1},
	{"flush set " T "inside6", 1},
	{"add element " T "inside6 { ::/1 }", 1},
	{"add element " T "ends4 { 192.0.2.9 }", 1},
	{"delete element " T "ends6 { 2001:db8::1 }", 1},
	{"delete element " T "guarded4 { 203.0.113.10 }", 1},
	{"flush set " T "guarded6", 1},
	{"add element " T "owned4 { 0x02000000 . 10.0.0.1 }", 1},
	{"delete element " T "owned4 { 0x02000000 . 203.0.113.10 }", 1},
	{"add element " T "owned4 '{ * }'", 1},
	{"flush set " T "owned6", 1},
	{"flush map " T "snat4", 1},
	{"'delete element inet sluice snat4 { 0x02000000 }; "
	 "add element inet sluice snat4 { 0x02000000 : 192.0.2.66 }'",
	 1},
	{"add element " T "snat6 { 0x02600000 : 2001:db8::66 }", 1},
	{"delete element " T "nodes_in { 0:e }", 1},
	{"'delete element inet sluice nodes_in { 0:e }; "
	 "add element inet sluice nodes_in { 0:e : goto node-1 }'",
	 1},
	{"'delete element inet sluice nodes_out { 0x00200000 }; "
	 "add element inet sluice nodes_out { 0x00200000 : accept }'",
	 1},
	{"delete element " T "reasons { 0x00200000 }", 1},
	{"'delete element inet sluice reasons { 0x00200000 }; "
	 "add element inet sluice reasons { 0x00200000 : r2 }'",
	 1},
};

static void damage_is_seen_and_mended(void **state)
{
	struct fixture *f = fresh(state);
	static char before[32768], after[32768];
	size_t i;

	applies(f);
	sh_output(before, sizeof(before), "nft -s list table inet sluice");
	for (i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		unsigned int handle = table_handle();

		sh("nft %s", damages[i].command);
		if (nft_observe(f->n, &f->m, &f->e) != damages[i].level)
			fail_msg("not seen as %d: %s", damages[i].level, damages[i].command);
		expect_ok(nft_apply(f->n, &f->m, &f->e), &f->e);
		if (nft_observe(f->n, &f->m, &f->e) != 0)
			fail_msg("not mended: %s", damages[i].command);
		if ((table_handle() == handle) != (damages[i].level == 1))
			fail_msg("more or less than needed: %s", damages[i].command);
	}
	sh_output(after, sizeof(after),
		  "nft -s list table inet sluice"); /* order of elements may differ */
	assert_int_equal(strlen(before), strlen(after));
}

static void damage_to_the_bridge_table_is_mended_apart(void **state)
{
	static const char *const what[] = {
		"delete table bridge sluice",
		"flush chain bridge sluice bridged",
		"insert rule bridge sluice bridged accept",
	};
	struct fixture *f = fresh(state);
	unsigned int handle;
	size_t i;

	applies(f);
	handle = table_handle();
	for (i = 0; i < sizeof(what) / sizeof(*what); i++) {
		sh("nft %s", what[i]);
		observes(f, 2);
		applies(f);
		observes(f, 0);
		assert_int_equal(table_handle(), handle);
	}
}

static void a_second_apply_touches_nothing(void **state)
{
	struct fixture *f = fresh(state);
	static char before[32768], after[32768];

	applies(f);
	sh_output(before, sizeof(before), "nft -a list table inet sluice");
	applies(f);
	sh_output(after, sizeof(after), "nft -a list table inet sluice");
	assert_string_equal(before, after);
}

/* A process that speaks to the tunnel's port: one FORGED_TUNNEL. */
static void forge(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5347)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
}

static uint64_t forged(struct fixture *f)
{
	struct nft_count counts[SLU_REASON_MAX];

	expect_ok(nft_counters(f->n, counts, &f->e), &f->e);
	return counts[SLU_DROP_FORGED_TUNNEL].packets;
}

static void counters_survive_every_change(void **state)
{
	struct fixture *f = fresh(state);
	struct nft_count counts[SLU_REASON_MAX];

	expect_rc(nft_counters(f->n, counts, &f->e), -ENOENT, &f->e);
	applies(f);
	forge();
	forge();
	assert_int_equal(forged(f), 2);
	f->m.n_addresses = 2;
	applies(f);
	assert_int_equal(forged(f), 2);
	sh("nft flush chain inet sluice service");
	applies(f);
	assert_int_equal(forged(f), 2);
	forge();
	assert_int_equal(forged(f), 3);
}

static void another_mask_or_port_is_another_table(void **state)
{
	struct fixture *f = fresh(state);
	static const uint32_t bad[] = {0, 0xffc00000, 0xfff00000, 0xffe00001, 0x7ff80001, 0x3ff};
	size_t i;

	applies(f);
	f->m.mark_mask = 0x000007ff; /* no shift at all */
	observes(f, 2);
	applies(f);
	f->m.mark_mask = 0x07ff0000;
	applies(f);
	f->m.port = 6000;
	observes(f, 2);
	applies(f);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		f->m.mark_mask = bad[i];
		expect_rc(nft_observe(f->n, &f->m, &f->e), -EINVAL, &f->e);
		expect_rc(nft_apply(f->n, &f->m, &f->e), -EINVAL, &f->e);
	}
}

static void an_empty_model_is_a_table_too(void **state)
{
	struct fixture *f = fresh(state);

	f->m.n_addresses = f->m.n_nodes = f->m.n_inside = f->m.n_tunnel_ends = 0;
	applies(f);
	f->m.n_addresses = 4, f->m.n_nodes = 3, f->m.n_inside = 5, f->m.n_tunnel_ends = 3;
	observes(f, 1);
	applies(f);
	f->m.n_addresses = f->m.n_nodes = f->m.n_inside = f->m.n_tunnel_ends = 0;
	observes(f, 1);
	applies(f);
}

static int by_cidr(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

/* Prefixes inside one another too: apply merges what it is given. */
static size_t random_inside(struct cidr *v, size_t n, unsigned int *seed)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bool v4 = rand_r(seed) % 2;
		uint8_t bytes[16] = {0};
		size_t k;

		for (k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(rand_r(seed) % 4 * 85); /* near one another */
		v[i] = v4 ? cidr_make(addr_from_v4(bytes), (uint8_t)(96 + rand_r(seed) % 33))
			  : cidr_make(addr_from_v6(bytes), (uint8_t)(rand_r(seed) % 129));
	}
	qsort(v, n, sizeof(*v), by_cidr);
	return n;
}

static void any_inside_becomes_any_other_without_a_rebuild(void **state)
{
	struct fixture *f = fresh(state);
	struct cidr inside[64];
	unsigned int seed = 1, handle, i;

	f->m.inside = inside;
	f->m.n_inside = 0;
	applies(f);
	handle = table_handle();
	for (i = 0; i < 300; i++) {
		f->m.n_inside = random_inside(inside, (size_t)(rand_r(&seed) % 64), &seed);
		applies(f);
	}
	assert_int_equal(table_handle(), handle);
}

static void a_large_model_takes_one_batch(void **state)
{
	struct fixture *f = fresh(state);
	struct nft_address *addresses = mem_alloc0(1000 * sizeof(*addresses));
	uint32_t *nodes = mem_alloc0(1000 * sizeof(*nodes));
	struct cidr *inside = mem_alloc0(60000 * sizeof(*inside));
	struct addr a = A("100.64.0.0");
	clock_t t = clock();
	uint32_t i;

	for (i = 0; i < 60000; i++, a = addr_next(addr_next(a)))
		inside[i] = cidr_host(a);
	for (i = 0; i < 1000; i++, a = addr_next(a)) {
		nodes[i] = i + 1;
		addresses[i] = (struct nft_address){i + 16, a, true};
	}
	f->m.addresses = addresses, f->m.n_addresses = 1000;
	f->m.nodes = nodes, f->m.n_nodes = 1000;
	f->m.inside = inside, f->m.n_inside = 60000;
	applies(f);
	f->m.n_inside = 59999;
	observes(f, 1);
	applies(f);
	print_message("# built, observed and changed in %ld ms\n",
		      (long)((clock() - t) * 1000 / CLOCKS_PER_SEC));
	free(addresses);
	free(nodes);
	free(inside);
}

static void a_torn_dump_is_taken_again(void **state)
{
	struct fixture *f = fresh(state);
	int i;

	applies(f);
	sh("(i=0; while [ $i -lt 60 ]; do nft add table ip x$i; i=$((i+1)); done) >/dev/null &");
	for (i = 0; i < 200; i++) {
		int rc = nft_observe(f->n, &f->m, &f->e);

		if (rc != 0 && rc != -EAGAIN)
			fail_msg("%d: %s", rc, f->e.msg);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(is_built_and_recognised),
		TEST(damage_is_seen_and_mended),
		TEST(damage_to_the_bridge_table_is_mended_apart),
		TEST(a_second_apply_touches_nothing),
		TEST(counters_survive_every_change),
		TEST(another_mask_or_port_is_another_table),
		TEST(an_empty_model_is_a_table_too),
		TEST(any_inside_becomes_any_other_without_a_rebuild),
		TEST(a_large_model_takes_one_batch),
		TEST(a_torn_dump_is_taken_again),
	};

	if (getenv("NFT_SHOW"))
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, NULL, NULL);
	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
