/* SPDX-License-Identifier: Apache-2.0 */
/* What is left out when something that it stands on could not be done. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/apply.h"
#include "testkit/addr_fixture.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define HERE  16 /* 203.0.113.16 */
#define OTHER 18

static struct dp_model *desired;

static struct slu_egress egress_make(const char *addr)
{
	return (struct slu_egress){SLU_ADDR_REMOTE, SLU_VNI_ADDRESS, world_addr(addr),
				   world_addr(addr)};
}

static int outcome_of(struct dp_step *steps, size_t n, const struct dp_gate *gate,
		      struct dp_outcome *ret)
{
	struct dp_plan p = {.steps = steps, .n = n, .desired = desired, .gate = gate};
	struct dp_kernel k = {.pins = world_pins()};
	struct err e = {0};
	int r;

	expect_ok(rtnl_open(-1, &k.rtnl, &e), &e);
	expect_ok(nft_open(&k.nft, &e), &e);
	r = dp_apply(&k, &p, ret);
	nft_close(k.nft);
	rtnl_close(k.rtnl);
	return r;
}

static uint32_t state_of(uint32_t id)
{
	struct slu_egress v;
	struct err e = {0};

	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_ADDRS, &id, &v, &e), &e);
	return v.state;
}

static int setup(void **state)
{
	const uint32_t ids[] = {HERE, OTHER};

	world();
	desired = dp_model_new();
	desired->egress[HERE] = egress_make("203.0.113.16");
	desired->egress[OTHER] = egress_make("203.0.113.18");
	for (size_t i = 0; i < 2; i++) {
		struct err e = {0};

		expect_ok(bpf_map_set(world_pins(), BPF_MAP_ADDRS, &ids[i],
				      &desired->egress[ids[i]], &e),
			  &e);
	}
	return 0;
}

static int teardown(void **state)
{
	dp_model_free(desired);
	return 0;
}

static int gate_open(const struct dp_step *s, void *data)
{
	++*(size_t *)data;
	return 1;
}

static void without_nft_no_pod_is_attached_and_no_address_claimed(void **state)
{
	const struct nft_model bad = {.mark_mask = 1};
	const struct dp_pod pod = {0};
	struct dp_step steps[] = {{.op = DP_NFT, .arg = &bad},
				  {.op = DP_EGRESS_STATE, .index = HERE, .state = SLU_ADDR_LOCAL},
				  {.op = DP_POD_ATTACH, .arg = &pod},
				  {.op = DP_PROGRAMS_RETIRE}};
	struct dp_outcome out;
	size_t asked = 0;
	const struct dp_gate gate = {.open = gate_open, .data = &asked};

	assert_int_equal(outcome_of(steps, 4, &gate, &out), -EINVAL);
	assert_int_equal(out.failed, 1);
	assert_int_equal(out.skipped, 3);
	assert_int_equal(asked, 0);
	assert_false(out.programs_failed);
	assert_int_equal(state_of(HERE), SLU_ADDR_REMOTE);
}

static void what_lets_go_is_done_without_nft(void **state)
{
	const struct nft_model bad = {.mark_mask = 1};
	struct dp_step steps[] = {
		{.op = DP_NFT, .arg = &bad},
		{.op = DP_EGRESS_STATE, .index = HERE, .state = SLU_ADDR_NO_OWNER}};
	struct dp_outcome out;

	assert_int_equal(outcome_of(steps, 2, NULL, &out), -EINVAL);
	assert_int_equal(out.done, 1);
	assert_int_equal(state_of(HERE), SLU_ADDR_NO_OWNER);
}

static void an_address_that_is_on_no_interface_is_not_claimed_but_others_are(void **state)
{
	const struct ifaddr lost = {
		.ifindex = 999999, .addr = addr_of("203.0.113.16"), .prefix_len = 32};
	struct dp_step steps[] = {{.op = DP_ADDR_ADD, .arg = &lost},
				  {.op = DP_EGRESS_STATE, .index = HERE, .state = SLU_ADDR_LOCAL},
				  {.op = DP_EGRESS_STATE, .index = OTHER, .state = SLU_ADDR_LOCAL}};
	struct dp_outcome out;

	assert_true(outcome_of(steps, 3, NULL, &out) < 0);
	assert_int_equal(out.failed, 1);
	assert_int_equal(out.skipped, 1);
	assert_int_equal(state_of(HERE), SLU_ADDR_REMOTE);
	assert_int_equal(state_of(OTHER), SLU_ADDR_LOCAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_nft_no_pod_is_attached_and_no_address_claimed),
		TEST(what_lets_go_is_done_without_nft),
		TEST(an_address_that_is_on_no_interface_is_not_claimed_but_others_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
