/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sysctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/netns_fixture.h"

static void writes_what_it_reads(void **state)
{
	struct err e = {0};
	int v = -1;

	netns_fresh();
	sh("ip link add v0 type veth peer name v1");
	expect_ok(sysctl_set("net/ipv4/conf/v0/rp_filter", 2, &e), &e);
	expect_ok(sysctl_get("net/ipv4/conf/v0/rp_filter", &v, &e), &e);
	assert_int_equal(v, 2);
	expect_ok(sysctl_set("net/ipv4/conf/v0/rp_filter", 2, &e), &e);
	expect_ok(sysctl_get("net/ipv4/conf/v1/rp_filter", &v, &e), &e);
	assert_int_equal(v, 0);
}

static void names_what_it_cannot_read(void **state)
{
	static const struct {
		const char *path;
		int code;
	} cases[] = {
		{"net/ipv4/conf/nothere/rp_filter", -ENOENT},
		{"net/ipv4/tcp_rmem", -EINVAL},
		{"kernel/ostype", -EINVAL},
		{"net/../../../etc/passwd", -EINVAL},
	};
	struct err e = {0};
	int v = 7;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expect_rc(sysctl_get(cases[i].path, &v, &e), cases[i].code, &e);
		expect_rc(sysctl_set(cases[i].path, 1, &e), cases[i].code, &e);
		assert_non_null(strstr(e.msg, cases[i].path));
		assert_int_equal(v, 7);
	}
}

static void says_what_the_kernel_refuses(void **state)
{
	struct err e = {0};

	netns_fresh();
	sh("ip link add v0 type veth peer name v1 && ip link set v0 up");
	expect_rc(sysctl_set("net/ipv6/conf/v0/addr_gen_mode", 99, &e), -EINVAL, &e);
	assert_non_null(strstr(e.msg, "= 99"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_it_reads),
		cmocka_unit_test(names_what_it_cannot_read),
		cmocka_unit_test(says_what_the_kernel_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
