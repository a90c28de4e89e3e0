/* SPDX-License-Identifier: Apache-2.0 */
/* When the tables are looked at, and when it is known that nothing has changed. */
#include "kernel/nft_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "testkit/netns_fixture.h"

/* Requests that an observe makes. */
static uint32_t observe_costs(struct nft *n, const struct nft_model *m, int level)
{
	uint32_t before = n->seq;
	struct err e = {0};

	expect_rc(nft_observe(n, m, &e), level, &e);
	return n->seq - before;
}

static void looks_again_only_when_something_was_changed(void **state)
{
	const uint32_t nodes[] = {1, 2};
	struct nft_service service = {.port = 80, .endpoint_port = 8080, .proto = 6};
	const struct nft_limit limit = {.id = 16, .most = {5}};
	struct nft_model m = {.mark_mask = SLU_MARK_MASK_DEFAULT,
			      .port = SLU_TUNNEL_PORT_DEFAULT,
			      .nodes = nodes,
			      .n_nodes = 2};
	struct err e = {0};
	struct nft *n;

	netns_fresh();
	expect_ok(nft_open(&n, &e), &e);
	expect_ok(nft_apply(n, &m, &e), &e);
	assert_true(observe_costs(n, &m, 0) > 10);
	assert_int_equal(observe_costs(n, &m, 0), 1);
	sh("nft add table ip other"); /* whoever it was, and whatever */
	assert_true(observe_costs(n, &m, 0) > 10);
	assert_int_equal(observe_costs(n, &m, 0), 1);
	m.n_nodes = 1;
	assert_true(observe_costs(n, &m, 1) > 10);
	m.n_nodes = 2;
	assert_int_equal(observe_costs(n, &m, 0), 1);
	m.limits = &limit;
	m.n_limits = 1;
	assert_true(observe_costs(n, &m, 1) > 10);
	m.n_limits = 0;
	addr_parse("10.96.0.9", &service.addr);
	addr_parse("198.51.100.9", &service.endpoint);
	m.services = &service;
	m.n_services = 1;
	assert_true(observe_costs(n, &m, 1) > 10);
	m.n_services = 0;
	nft_forget(n);
	assert_true(observe_costs(n, &m, 0) > 10);
	sh("nft flush ruleset");
	for (int i = 0; i < 2; i++) /* what differs is looked at each time */
		assert_true(observe_costs(n, &m, 2) > 2);
	nft_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_again_only_when_something_was_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
