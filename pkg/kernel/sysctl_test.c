/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sysctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/netns_fixture.h"

static void reads_what_is_there(void **state)
{
	struct err e = {0};
	int v = -1;

	netns_fresh();
	sh("ip link add v0 type veth peer name v1");
	sh("sysctl -qw net.ipv4.conf.v0.rp_filter=2");
	expect_ok(sysctl_get("net/ipv4/conf/v0/rp_filter", &v, &e), &e);
	assert_int_equal(v, 2);
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
		assert_non_null(strstr(e.msg, cases[i].path));
		assert_int_equal(v, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(names_what_it_cannot_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
