/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "testkit/netns_fixture.h"

static struct rtnl *open_here(void)
{
	struct rtnl *r = NULL;
	struct err e = {0};

	netns_fresh();
	expect_ok(rtnl_open(-1, &r, &e), &e);
	return r;
}

static void reads_a_link_by_index_and_by_name(void **state)
{
	struct rtnl *r = open_here();
	struct link_info a, b;
	struct err e = {0};

	sh("ip link add v0 mtu 1400 address 02:00:00:00:00:07 type veth peer name v1");
	expect_ok(link_get_name(r, "v0", &a, &e), &e);
	assert_string_equal(a.name, "v0");
	assert_string_equal(a.kind, "veth");
	assert_int_equal(a.ifindex, ifindex_of("v0"));
	assert_int_equal(a.peer_ifindex, ifindex_of("v1"));
	assert_false(a.has_netnsid);
	assert_int_equal(a.mtu, 1400);
	assert_true(a.has_mac);
	assert_memory_equal(a.mac, "\x02\0\0\0\0\x07", 6);
	assert_int_equal(a.flags & IFF_UP, 0);
	assert_int_equal(a.master, 0);
	expect_ok(link_get(r, a.ifindex, &b, &e), &e);
	assert_memory_equal(&a, &b, sizeof(a));
	rtnl_close(r);
}

static void says_which_link_is_missing(void **state)
{
	static const char *const names[] = {"nothere", "", "a-name-too-long-for-a-link"};
	struct rtnl *r = open_here();
	struct link_info info;
	struct err e = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		expect_rc(link_get_name(r, names[i], &info, &e), -ENODEV, &e);
		assert_non_null(strstr(e.msg, names[i]));
	}
	expect_rc(link_get(r, 4711, &info, &e), -ENODEV, &e);
	assert_non_null(strstr(e.msg, "4711"));
	expect_rc(link_get(r, 0, &info, &e), -ENODEV, &e);
	expect_rc(link_get(r, 0, &info, NULL), -ENODEV, &e);
	rtnl_close(r);
}

static void finds_the_peer_of_a_pod_interface_from_inside(void **state)
{
	struct link_info inside, outside;
	struct rtnl *pod = NULL, *node = NULL;
	struct err e = {0};
	int ns = -1;

	netns_fresh(); /* the pod */
	expect_ok(netns_open_self(&ns, &e), &e);
	netns_fresh(); /* the node */
	sh("ip link add host0 type veth peer name pod0 netns /proc/%d/fd/%d", (int)getpid(), ns);
	expect_ok(rtnl_open(ns, &pod, &e), &e);
	expect_ok(rtnl_open(-1, &node, &e), &e);
	expect_ok(link_get_name(pod, "pod0", &inside, &e), &e);
	assert_true(inside.has_netnsid);
	expect_ok(link_get(node, inside.peer_ifindex, &outside, &e), &e);
	assert_string_equal(outside.name, "host0");
	assert_int_equal(outside.peer_ifindex, inside.ifindex);
	expect_rc(link_get_name(node, "pod0", &inside, &e), -ENODEV, &e);
	rtnl_close(pod);
	rtnl_close(node);
	close(ns);
}

static void lists_more_links_than_one_buffer_holds(void **state)
{
	struct rtnl *r = open_here();
	struct link_info *links = NULL;
	struct err e = {0};
	size_t n = 0, found = 0;

	sh("for i in $(seq 150); do echo link add p$i type veth peer name q$i; done | ip -batch -");
	sh("ip link add br0 type bridge && ip link set p7 master br0");
	expect_ok(link_list(r, &links, &n, &e), &e);
	assert_in_range(n, 302, 310);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(links[i].name, "p7") == 0)
			assert_int_equal(links[i].master, ifindex_of("br0"));
		found += links[i].name[0] == 'p' && strcmp(links[i].kind, "veth") == 0;
	}
	assert_int_equal(found, 150);
	free(links);
	rtnl_close(r);
}

static const struct link_vxlan wanted = {"sluice0", 5347, 1450, {2, 0x53, 0x4c, 0x55, 0, 1}},
			       any_mtu = {"sluice0", 5347, 0, {2, 0x53, 0x4c, 0x55, 0, 1}};

static void makes_the_tunnel_device_and_knows_it_again(void **state)
{
	struct rtnl *r = open_here();
	struct link_info info;
	struct err e = {0};

	expect_rc(link_vxlan_check(r, &wanted, &info, &e), -ENODEV, &e);
	expect_ok(link_add_vxlan(r, &wanted, &e), &e);
	expect_rc(link_add_vxlan(r, &wanted, &e), -EEXIST, &e);
	expect_rc(link_vxlan_check(r, &wanted, &info, &e), 1, &e);
	expect_ok(link_get_name(r, "sluice0", &info, &e), &e);
	assert_int_equal(info.flags & (IFF_UP | IFF_NOARP), IFF_NOARP);
	sh("ip -d link show sluice0 | grep -q 'vxlan external.*dstport 5347.*nolearning.*"
	   "noudp6zerocsumrx.*addrgenmode none'");
	sh("ethtool -k sluice0 | grep -q 'generic-receive-offload: off'");
	sh("ethtool -K sluice0 gro on");
	expect_rc(link_vxlan_check(r, &wanted, &info, &e), 1, &e);
	expect_ok(link_set(r, info.ifindex, true, 0, &e), &e);
	expect_rc(link_vxlan_check(r, &wanted, &info, &e), 1, &e);
	sh("test -z \"$(ip -6 addr show dev sluice0)\"");
	expect_ok(link_set(r, info.ifindex, true, 1400, &e), &e);
	expect_rc(link_vxlan_check(r, &wanted, &info, &e), 0, &e);
	expect_rc(link_vxlan_check(r, &any_mtu, &info, &e), 1, &e);
	assert_int_equal(info.mtu, 1400);
	expect_ok(link_set_rp_filter(r, info.ifindex, 2, &e), &e);
	sh("test $(cat /proc/sys/net/ipv4/conf/sluice0/rp_filter) = 2");
	expect_ok(link_del(r, info.ifindex, &e), &e);
	expect_rc(link_set_rp_filter(r, info.ifindex, 2, &e), -ENODEV, &e);
	expect_rc(link_del(r, info.ifindex, &e), -ENODEV, &e);
	expect_rc(link_del(r, 0, &e), -ENODEV, &e);
	rtnl_close(r);
}

static void anything_else_of_that_name_is_not_the_tunnel_device(void **state)
{
	static const char *const others[] = {
		"ip link add sluice0 mtu 1450 type veth peer name x",
		"ip link add sluice0 type vxlan id 7 dstport 5347 && ip link set sluice0 mtu 1450 "
		"arp off",
		"ip link add sluice0 type vxlan external dstport 4789",
		"ip link add sluice0 mtu 1450 type vxlan external dstport 5347 nolearning && "
		"ip link set sluice0 arp off addrgenmode none", /* of no group */
	};
	struct rtnl *r = open_here();
	struct link_info info;
	struct err e = {0};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		sh("%s", others[i]);
		sh("ip link set sluice0 address 02:53:4c:55:00:01");
		expect_rc(link_vxlan_check(r, &wanted, &info, &e), 0, &e);
		sh("ip link del sluice0");
	}
	rtnl_close(r);
}

static void tells_the_kernel_s_reason(void **state)
{
	struct link_vxlan bad = wanted;
	struct rtnl *r = open_here();
	struct err e = {0};

	bad.mtu = 10; /* the device's minimum is 68 */
	expect_rc(link_add_vxlan(r, &bad, &e), -EINVAL, &e);
	assert_non_null(strstr(e.msg, "sluice0"));
	assert_non_null(strstr(e.msg, "MTU"));
	rtnl_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_link_by_index_and_by_name),
		cmocka_unit_test(says_which_link_is_missing),
		cmocka_unit_test(finds_the_peer_of_a_pod_interface_from_inside),
		cmocka_unit_test(lists_more_links_than_one_buffer_holds),
		cmocka_unit_test(makes_the_tunnel_device_and_knows_it_again),
		cmocka_unit_test(anything_else_of_that_name_is_not_the_tunnel_device),
		cmocka_unit_test(tells_the_kernel_s_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
