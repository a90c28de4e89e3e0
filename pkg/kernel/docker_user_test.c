/* SPDX-License-Identifier: Apache-2.0 */
/* Our rule in a chain DOCKER-USER that the real iptables made, beside rules of others. */
#include "kernel/docker_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kernel/nft.h"
#include "testkit/netns_fixture.h"

#define OURS(mask)                                                     \
	"-A DOCKER-USER -m connmark ! --mark 0x0/" mask " -m comment " \
	"--comment sluice-egress -j ACCEPT\n"
#define THEIRS "-A DOCKER-USER -s 10.9.0.0/16 -m comment --comment mine -j RETURN\n"

DEFINE_CLEANUP(struct nft *, nft_close);

struct kind {
	const char *program;
	unsigned int bit;
	const char *drop; /* what nft_forward_drop calls it */
};
static const struct kind nft4 = {"iptables-nft", DOCKER_USER_NFT4, "ip filter FORWARD"},
			 legacy4 = {"iptables-legacy", DOCKER_USER_LEGACY4,
				    "ip filter FORWARD (legacy iptables)"};

static void chain_has(const struct kind *k, const char *rules)
{
	char command[64], have[1024], want[1024];

	snprintf(command, sizeof(command), "%s -S DOCKER-USER", k->program);
	snprintf(want, sizeof(want), "-N DOCKER-USER\n%s", rules);
	sh_output(have, sizeof(have), command);
	assert_string_equal(have, want);
}

static void applies(struct nft *n, uint32_t mask, unsigned int want)
{
	struct err e = {0};
	unsigned int have = 99;

	expect_ok(docker_user_apply(n, mask, &have, &e), &e);
	assert_int_equal(have, want);
}

static void forward_is(struct nft *n, unsigned int accepted, const char *want)
{
	struct err e = {0};
	char have[64];

	expect_ok(nft_forward_drop(n, accepted, have, sizeof(have), &e), &e);
	assert_string_equal(have, want);
}

static void as_docker_leaves_it(const struct kind *k)
{
	sh("%s -N DOCKER-USER && %s -I FORWARD -j DOCKER-USER && %s -P FORWARD DROP", k->program,
	   k->program, k->program);
	sh("%s -A DOCKER-USER -s 10.9.0.0/16 -m comment --comment mine -j RETURN", k->program);
}

static void one_rule(const struct kind *k)
{
	__cleanup(nft_closep) struct nft *n = NULL;
	struct err e = {0};

	expect_ok(nft_open(&n, &e), &e);
	as_docker_leaves_it(k);
	applies(n, 0, 0);
	chain_has(k, THEIRS);
	forward_is(n, 0, k->drop);
	for (int i = 0; i < 2; i++) {
		applies(n, 0xffe00000, k->bit);
		chain_has(k, OURS("0xffe00000") THEIRS);
	}
	forward_is(n, k->bit, "");
	/* another mask; twice the same; behind others */
	applies(n, 0x0ffe0000, k->bit);
	chain_has(k, OURS("0xffe0000") THEIRS);
	sh("%s -A DOCKER-USER -m connmark ! --mark 0x0/0xffe0000 -m comment --comment "
	   "sluice-egress -j ACCEPT",
	   k->program);
	applies(n, 0x0ffe0000, k->bit);
	chain_has(k, OURS("0xffe0000") THEIRS);
	applies(n, 0, 0);
	chain_has(k, THEIRS);
}

static void one_rule_stands_in_the_chain_of_iptables_nft(void **state)
{
	netns_fresh();
	one_rule(&nft4);
}

static void one_rule_stands_in_the_chain_of_legacy_iptables(void **state)
{
	netns_fresh();
	if (sh_status("iptables-legacy -P FORWARD ACCEPT") != 0) {
		print_message("skipped: no legacy iptables here\n");
		skip();
	}
	one_rule(&legacy4);
}

static void where_there_is_no_chain_nothing_is_made(void **state)
{
	__cleanup(nft_closep) struct nft *n = NULL;
	struct err e = {0};
	char text[256];

	netns_fresh();
	expect_ok(nft_open(&n, &e), &e);
	applies(n, 0xffe00000, 0);
	sh_output(text, sizeof(text), "nft list tables; cat /proc/net/ip_tables_names 2>&-; true");
	assert_string_equal(text, "");
	sh("nft add table ip filter && nft add chain ip filter USER && nft add table inet filter "
	   "&& nft add chain inet filter DOCKER-USER");
	applies(n, 0xffe00000, 0);
	sh_output(text, sizeof(text), "nft list chain inet filter DOCKER-USER | grep -c accept");
	assert_string_equal(text, "0\n");
}

static void what_cannot_be_done_is_said_and_keeps_no_other_from_it(void **state)
{
	__cleanup(nft_closep) struct nft *n = NULL;
	struct err e = {0};
	unsigned int have;

	netns_fresh();
	expect_ok(nft_open(&n, &e), &e);
	sh("ip6tables-nft -N DOCKER-USER");
	/* a rule that iptables cannot read */
	sh("iptables-nft -N DOCKER-USER && nft add rule ip filter DOCKER-USER socket mark 5 "
	   "accept");
	if (docker_user_apply(n, 0xffe00000, &have, &e) < 0)
		assert_non_null(strstr(e.msg, "iptables-nft"));
	assert_int_equal(have & DOCKER_USER_NFT6, DOCKER_USER_NFT6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_rule_stands_in_the_chain_of_iptables_nft),
		cmocka_unit_test(one_rule_stands_in_the_chain_of_legacy_iptables),
		cmocka_unit_test(where_there_is_no_chain_nothing_is_made),
		cmocka_unit_test(what_cannot_be_done_is_said_and_keeps_no_other_from_it),
	};

	return cmocka_run_group_tests_name("kernel/docker_user", tests, NULL, NULL);
}
