/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK, GC, STATUS, and DEL where things are not as ADD left them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/tc.h"
#include "testkit/netns_fixture.h"
#include "testkit/plugin_fixture.h"

#define POLICY_7 "{\"v\":1,\"ok\":true,\"kind\":\"policy\",\"policy\":7}"
#define POLICY_8 "{\"v\":1,\"ok\":true,\"kind\":\"policy\",\"policy\":8}"
#define RECORD	 NODE "/state/attachments/p1:eth0.json"

static void added(void **state)
{
	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	expect_call(0, .verb = "CHECK");
}

static void expect_check_fails(const char *words)
{
	expect_call(103, .verb = "CHECK");
	if (!strstr(node_message(), words))
		fail_msg("'%s' does not say '%s'", node_message(), words);
}

static void pod_entry_change(uint32_t policy, bool del)
{
	uint32_t ifindex = ifindex_of("veth-p1");
	struct bpf_pins *pins = NULL;
	struct slu_pod pod;
	struct err e = {0};

	assert_true(pod_entry("veth-p1", &pod));
	pod.policy = policy;
	expect_ok(bpf_pins_open(NODE "/bpf", &pins, &e), &e);
	if (del)
		expect_ok(bpf_map_delete(pins, BPF_MAP_PODS, &ifindex, &e), &e);
	else
		expect_ok(bpf_map_set(pins, BPF_MAP_PODS, &ifindex, &pod, &e), &e);
	bpf_pins_close(pins);
}

static void check_sees_a_program_that_is_gone(void **state)
{
	struct err e = {0};

	added(state);
	expect_ok(tc_detach(ifindex_of("veth-p1"), TC_DIR_INGRESS, bpf_prog_name(BPF_PROG_FROM_POD),
			    &e),
		  &e);
	expect_check_fails("is not attached");
}

static void check_sees_an_entry_that_is_gone(void **state)
{
	added(state);
	pod_entry_change(0, true);
	expect_check_fails("no entry");
}

static void check_sees_an_entry_of_another_policy(void **state)
{
	added(state);
	pod_entry_change(8, false);
	expect_check_fails("policy 8, expected 7");
	daemon_set(POLICY_8); /* the daemon meant it so */
	expect_call(0, .verb = "CHECK");
	daemon_set(NULL); /* and where nobody can say, the kernel's word stands */
	expect_call(0, .verb = "CHECK");
}

static void check_sees_a_host_side_that_was_made_anew(void **state)
{
	added(state);
	sh("ip -n p1 link show eth0 | grep -o 'ether [0-9a-f:]*' >" NODE "/mac");
	sh("ip link del veth-p1 && ip link add veth-p1 type veth peer name eth0 "
	   "address $(cut -d' ' -f2 " NODE "/mac) netns p1");
	expect_check_fails("host side");
}

static void check_sees_another_mac(void **state)
{
	added(state);
	sh("ip -n p1 link set eth0 address 02:00:00:00:00:99");
	expect_check_fails("MAC");
}

static void check_sees_another_namespace(void **state)
{
	added(state);
	sh("ip netns add other && ip -n p1 link set eth0 netns other");
	sh("umount /run/netns/p1 && mount --bind /run/netns/other /run/netns/p1");
	expect_check_fails("namespace");
}

static void check_sees_an_address_taken_away_but_not_one_added(void **state)
{
	added(state);
	expect_call(
		0, .verb = "CHECK",
		.prev = "{\"ips\":[{\"address\":\"10.0.0.2/24\"},{\"address\":\"10.9.0.2/24\"}]}");
	expect_call(103, .verb = "CHECK", .prev = "{\"ips\":[{\"address\":\"10.9.0.2/24\"}]}");
	assert_non_null(strstr(node_message(), "10.0.0.2"));
}

static void check_needs_a_record_and_a_result(void **state)
{
	dataplane_load();
	pod_make("p1");
	expect_call(103, .verb = "CHECK");
	assert_non_null(strstr(node_message(), "no record"));
	expect_call(7, .verb = "CHECK", .prev = "");
	sh("! ls " NODE "/state");
}

static void del_needs_nothing_but_the_record(void **state)
{
	added(state);
	daemon_set(NULL);
	sh("ip netns del p1; rm -rf " NODE "/policies.d " NODE "/run");
	expect_call(0, .verb = "DEL", .netns = "", .prev = "", .args = "");
	expect_nothing_left();
	expect_call(0, .verb = "DEL", .netns = "/run/netns/p1", .prev = "", .args = "");
}

static void del_of_what_was_never_added_makes_nothing(void **state)
{
	expect_call(0, .verb = "DEL", .netns = "", .prev = "");
	sh("! ls " NODE "/state");
}

static void del_removes_a_record_that_cannot_be_read(void **state)
{
	added(state);
	sh("echo '{' >" RECORD);
	expect_call(0, .verb = "DEL");
	sh("! ls " RECORD);
}

static void del_leaves_a_newer_record_to_a_newer_daemon(void **state)
{
	added(state);
	sh("sed -i 's/\"version\":1/\"version\":2/' " RECORD);
	expect_call(0, .verb = "DEL");
	sh("ls " RECORD);
}

/* After a reboot the index is somebody else's. */
static void del_of_an_earlier_boot_does_not_touch_the_kernel(void **state)
{
	struct slu_pod pod;

	added(state);
	sh("sed -i 's/\"bootID\":\"[^\"]*\"/\"bootID\":\"x\"/' " RECORD);
	expect_call(0, .verb = "DEL");
	sh("! ls " RECORD);
	assert_true(pod_entry("veth-p1", &pod));
}

static void gc(int code, const char *list)
{
	expect_call(code, .verb = "GC", .version = "1.1.0", .pod = "''", .ifname = "''",
		    .netns = "", .args = "", .prev = "", .conf = list);
}

static void gc_keeps_what_is_in_the_list_and_other_networks(void **state)
{
	struct slu_pod pod;

	added(state);
	pod_make("p2");
	expect_call(0, .pod = "p2");
	gc(0, "");
	gc(0, "\"cni.dev/valid-attachments\":null,");
	assert_true(pod_entry("veth-p1", &pod) && pod_entry("veth-p2", &pod));
	gc(7, "\"cni.dev/valid-attachments\":[{\"containerID\":\"p1\"}],");
	assert_true(pod_entry("veth-p1", &pod) && pod_entry("veth-p2", &pod));
	gc(0, "\"cni.dev/attachments\":[{\"containerID\":\"p1\",\"ifname\":\"eth0\"}],"
	      "\"cni.dev/valid-attachments\":[{\"containerID\":\"p1\",\"ifname\":\"eth0\"}],");
	assert_true(pod_entry("veth-p1", &pod));
	assert_false(pod_entry("veth-p2", &pod));
	sh("sed -i 's/\"network\":\"lab\"/\"network\":\"other\"/' " RECORD);
	gc(0, "\"cni.dev/valid-attachments\":[],");
	assert_true(pod_entry("veth-p1", &pod));
	sh("sed -i 's/\"network\":\"other\"/\"network\":\"lab\"/' " RECORD);
	gc(0, "\"cni.dev/valid-attachments\":[],");
	expect_nothing_left();
}

static void status(int code, const char *conf)
{
	expect_call(code, .verb = "STATUS", .version = "1.1.0", .pod = "''", .ifname = "''",
		    .netns = "", .args = "", .prev = "", .conf = conf);
}

static void status_fails_only_when_add_could_not_work(void **state)
{
	status(50, "");
	assert_non_null(strstr(node_message(), "no sluiced to run"));
	status(0, "\"failureMode\":\"open\",");
	once_write("exit 0"); /* what is missing can be made */
	status(0, "");
	once_write(NULL);
	daemon_set(POLICY_7);
	status(0, "");
	daemon_set(NULL);
	policies_write("---\n");
	snapshot_write(NODE "/state/snapshot", NULL, NULL, 0);
	status(50, "");
	dataplane_load();
	status(0, "");
	sh("echo >" NODE "/state/snapshot");
	status(50, "");
}

static void status_fails_when_the_folders_cannot_be_made(void **state)
{
	sh("touch " NODE "/state");
	once_write("exit 0");
	status(50, "\"failureMode\":\"open\",");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, node_setup, node_teardown)
	const struct CMUnitTest tests[] = {
		T(check_sees_a_program_that_is_gone),
		T(check_sees_an_entry_that_is_gone),
		T(check_sees_an_entry_of_another_policy),
		T(check_sees_a_host_side_that_was_made_anew),
		T(check_sees_another_mac),
		T(check_sees_another_namespace),
		T(check_sees_an_address_taken_away_but_not_one_added),
		T(check_needs_a_record_and_a_result),
		T(del_needs_nothing_but_the_record),
		T(del_of_what_was_never_added_makes_nothing),
		T(del_removes_a_record_that_cannot_be_read),
		T(del_leaves_a_newer_record_to_a_newer_daemon),
		T(del_of_an_earlier_boot_does_not_touch_the_kernel),
		T(gc_keeps_what_is_in_the_list_and_other_networks),
		T(status_fails_only_when_add_could_not_work),
		T(status_fails_when_the_folders_cannot_be_made),
	};

	return cmocka_run_group_tests_name("plugins/sluice/upkeep", tests, NULL, NULL);
}
