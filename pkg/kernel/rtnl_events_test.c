/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <unistd.h>

#include "kernel/rtnl.h"
#include "testkit/netns_fixture.h"

/* One shell command, and whether its events are anything to us. */
static void hears_what_concerns_us_and_nothing_else(void **state)
{
	static const struct {
		const char *command;
		int heard;
	} cases[] = {
		{"ip link add v0 type veth peer name v1", 1},
		/* a worker of the kernel brings them up, a little later; the last command waits
		   for its lock */
		{"ip link set v0 up && ip link set v1 up && for v in v0 v1; do "
		 "until ip link show $v | grep -q state.UP; do sleep 0.01; done; done && "
		 "ip link set v0 alias done",
		 1},
		{"ip addr add 10.1.0.1/24 dev v0", 1},
		{"ip rule add fwmark 1 table 77", 1},
		{"ip route add 10.2.0.0/24 dev v0", 1},
		{"ip route add 10.2.0.0/24 dev v0 table 77", 0},
		{"ip route add 10.2.1.0/24 dev v0 table 77 proto 83", 1},
		{"ip route del 10.2.1.0/24 table 77", 1},
		{"ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:08 dev v0 nud stale", 0},
		{"ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent", 1},
		{"ip neigh change 10.1.0.8 lladdr 02:00:00:00:00:18 dev v0 nud reachable", 0},
		{"tc qdisc add dev v0 clsact", 1},
		{"true", 0},
		{"ip link del v0", 1},
	};
	struct err e = {0};
	int fd = -1;

	netns_fresh();
	sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
	expect_ok(rtnl_events_open(-1, &fd, &e), &e);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int heard;

		sh("%s", cases[i].command);
		heard = rtnl_events_read(fd, &e);
		if (heard != cases[i].heard)
			fail_msg("%s: heard %d", cases[i].command, heard);
		expect_rc(rtnl_events_read(fd, &e), 0, &e);
	}
	close(fd);
}

static void says_when_events_were_lost(void **state)
{
	struct err e = {0};
	int fd = -1;

	netns_fresh();
	expect_ok(rtnl_events_open(-1, &fd, &e), &e);
	sh("ip link add v0 type veth peer name v1 && ip link set v0 up");
	sh("for i in $(seq 255); do for j in $(seq 40); do"
	   " echo route add 10.$j.$i.0/24 dev v0; done; done | ip -batch -");
	expect_rc(rtnl_events_read(fd, &e), 2, &e);
	expect_rc(rtnl_events_read(fd, &e), 0, &e);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hears_what_concerns_us_and_nothing_else),
		cmocka_unit_test(says_when_events_were_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
