/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/conntrack.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/netns_fixture.h"

static struct addr A(const char *s) {
	struct addr a = {0};

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static void
need_conntrack(void)
{
	netns_fresh();
	if (sh_status("conntrack -L") != 0) {
		print_message("skipped: no conntrack tool, or no conntrack in this kernel\n");
		skip();
	}
}

static void forgets_a_source_in_every_zone_and_nobody_else(void **state)
{
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	sh("for s in 10.0.0.5 10.0.0.6 fd00::5 fd00::6; do for z in '--sport 1' '--sport 1 -w 7' "
	   "'--sport 3 --orig-zone 9'; do"
	   " case $s in fd*) d=fd00::99;; *) d=10.0.0.5;; esac;"
	   " conntrack -I -s $s -d $d -p udp $z --dport 2 -t 60 || exit 1;"
	   " done; done; conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p icmp --icmp-type 8 --icmp-code 0"
	   " --icmp-id 5 -t 60");
	expect_ok(conntrack_forget_source(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 4);
	expect_ok(conntrack_forget_source(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 0);
	expect_ok(conntrack_forget_source(A("fd00::5"), &n, &e), &e);
	assert_int_equal(n, 3);
	sh("test $(conntrack -L -f ipv4 2>/dev/null | wc -l) = 3");
	sh("test $(conntrack -L -f ipv6 2>/dev/null | wc -l) = 3");
}

static void forgets_more_than_one_buffer_holds(void **state)
{
	struct err e = {0};
	size_t n = 0;

	need_conntrack();
	sh("for i in $(seq 600); do echo -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport $i --dport 2"
	   " -t 60; done >/tmp/ct-test-$$ && conntrack -R /tmp/ct-test-$$; rm /tmp/ct-test-$$;"
	   " test $(conntrack -C) = 600");
	expect_ok(conntrack_forget_source(A("10.0.0.5"), &n, &e), &e);
	assert_int_equal(n, 600);
	sh("test $(conntrack -C) = 0");
}

static void knows_none_where_there_is_none(void **state)
{
	struct err e = {0};
	size_t n = 99;

	need_conntrack();
	expect_ok(conntrack_forget_source(A("2001:db8::1"), &n, &e), &e);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgets_a_source_in_every_zone_and_nobody_else),
		cmocka_unit_test(forgets_more_than_one_buffer_holds),
		cmocka_unit_test(knows_none_where_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
