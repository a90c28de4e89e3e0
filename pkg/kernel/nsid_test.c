/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/nsid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "testkit/netns_fixture.h"

static struct err e;

static int self(void)
{
	int fd = -1;

	expect_ok(netns_open_self(&fd, &e), &e);
	return fd;
}

/* Two namespaces of this process: the one it is in at the end, and the one before. */
static void is_what_the_kernel_says_of_a_veths_peer(void **state)
{
	char before[32];
	struct link_info link;
	struct rtnl *rtnl = NULL;
	int outer, inner, id = -1;

	netns_fresh();
	outer = self();
	netns_fresh();
	inner = self();
	assert_int_equal(nsid_get(inner, outer, &id, &e), -ENOENT);
	snprintf(before, sizeof(before), "/proc/%d/fd/%d", (int)getpid(), outer);
	sh("ip link add v0 type veth peer name v1 && ip link set v1 netns %s", before);
	expect_ok(rtnl_open(-1, &rtnl, &e), &e);
	expect_ok(link_get_name(rtnl, "v0", &link, &e), &e);
	rtnl_close(rtnl);
	assert_true(link.has_netnsid);
	expect_ok(nsid_get(inner, outer, &id, &e), &e);
	assert_int_equal(id, link.netnsid);
	close(outer);
	close(inner);
}

static void refuses_what_is_no_namespace(void **state)
{
	int ns, file, id;

	netns_fresh();
	ns = self();
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(nsid_get(ns, file, &id, &e) < 0);
	assert_true(nsid_get(file, ns, &id, &e) < 0);
	close(file);
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_the_kernel_says_of_a_veths_peer),
		cmocka_unit_test(refuses_what_is_no_namespace),
	};

	return cmocka_run_group_tests_name("kernel/nsid", tests, NULL, NULL);
}
