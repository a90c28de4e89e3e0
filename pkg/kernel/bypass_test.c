/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/bypass.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "kernel/tc.h"
#include "testkit/netns_fixture.h"

static struct err e;
static struct rtnl *rtnl;

static int teardown(void **state)
{
	rtnl_close(rtnl);
	rtnl = NULL;
	return 0;
}

static void attach(const char *name, enum tc_mode mode)
{
	int fd = tc_program(name, -1);

	expect_ok(tc_attach(ifindex_of("v0"), TC_DIR_INGRESS, mode, fd, &e), &e);
	close(fd);
}

static int find(const char **who)
{
	struct link_info host;

	if (!rtnl)
		expect_ok(rtnl_open(-1, &rtnl, &e), &e);
	expect_ok(link_get_name(rtnl, "v0", &host, &e), &e);
	return bypass_find(rtnl, &host, who, &e);
}

static void finds_nobody_on_a_plain_interface(void **state)
{
	const char *who = NULL;

	netns_fresh();
	sh("ip link add v0 type veth peer name v1");
	assert_int_equal(find(&who), 0);
	sh("tc qdisc add dev v0 clsact && "
	   "tc filter add dev v0 ingress protocol ip u32 match u32 0 0 classid 1:1");
	attach("somebody", TC_MODE_CLSACT);
	assert_int_equal(find(&who), 0);
	assert_null(who);
}

static void finds_cilium_and_calico_in_both_modes(void **state)
{
	static const struct {
		const char *name, *who;
		enum tc_mode mode;
	} rows[] = {
		{"cil_from_contai", "Cilium", TC_MODE_TCX},
		{"cil_from_contai", "Cilium", TC_MODE_CLSACT},
		{"cali_tc_preambl", "Calico's eBPF data plane", TC_MODE_TCX},
		{"cali_tc_preambl", "Calico's eBPF data plane", TC_MODE_CLSACT},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *who = NULL;

		netns_fresh();
		if (rows[i].mode == TC_MODE_TCX && tc_mode_detect() != TC_MODE_TCX)
			continue;
		sh("ip link add v0 type veth peer name v1");
		attach(rows[i].name, rows[i].mode);
		assert_int_equal(find(&who), 1);
		assert_string_equal(who, rows[i].who);
		teardown(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(finds_nobody_on_a_plain_interface, teardown),
		cmocka_unit_test_teardown(finds_cilium_and_calico_in_both_modes, teardown),
	};

	return cmocka_run_group_tests_name("kernel/bypass", tests, NULL, NULL);
}
