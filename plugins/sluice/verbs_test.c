/* SPDX-License-Identifier: Apache-2.0 */
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

#define POLICY_7                                                                          \
	"{\"v\":1,\"ok\":true,\"kind\":\"policy\",\"policy\":7,\"spread\":5,\"flags\":0," \
	"\"key\":\"00000000000000ff\"}"
#define FREE	  "{\"v\":1,\"ok\":true,\"kind\":\"free\",\"policy\":0}"
#define UNDECIDED "{\"v\":1,\"ok\":true,\"kind\":\"undecided\",\"policy\":0}"

/* Governs pods with app=web in namespace default. */
#define WEB_POLICY                                              \
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n" \
	"metadata: {name: web, namespace: default}\nspec:\n"    \
	"  subject: {podSelector: {matchLabels: {app: web}}}\n" \
	"  rules: [{name: a, action: Deny, to: [{cidr: 198.51.100.0/24}]}]\n"
#define WEB_LABELS "\"podLabels\":{\"app\":\"web\"},"

static void what_the_daemon_says_is_in_force_when_add_returns(void **state)
{
	__cleanup(record_freep) struct record *rec = NULL;
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 7);
	assert_int_equal(pod.spread, 5);
	assert_int_equal(pod.naddr, 1);
	rec = node_record("p1", "eth0");
	assert_non_null(rec);
	assert_int_equal(rec->kind, ATTACH_VETH);
	assert_string_equal(rec->host_ifname, "veth-p1");
	assert_true(rec->key == 0xff);
	expect_call(0, .verb = "CHECK");
	assert_string_equal(node_output(), "");
	expect_call(0, .verb = "DEL");
	assert_string_equal(node_output(), "");
	expect_nothing_left();
}

static void add_asks_with_all_it_knows_of_the_pod(void **state)
{
	__cleanup_json struct json *q = NULL;
	__cleanup_free char *labels = NULL;
	const char *s;

	dataplane_load();
	pod_make("p1");
	daemon_set(FREE);
	expect_call(0, .args = "IgnoreUnknown=1;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=shop",
		    .conf = "\"podLabels\":{\"a\":\"1\"},\"runtimeConfig\":{"
			    "\"io.kubernetes.cri.pod-annotations\":{"
			    "\"sluice.dev/"
			    "pod-labels\":\"{\\\"a\\\":\\\"2\\\",\\\"b\\\":\\\"2\\\"}\"}},");
	q = daemon_question();
	labels = json_emit(json_get(q, "labels"), 0);
	assert_string_equal(labels, "{\"a\":\"1\",\"b\":\"2\"}");
	assert_int_equal(json_string(json_get(q, "namespace"), &s, NULL), 0);
	assert_string_equal(s, "shop");
	assert_int_equal(json_string(json_get(q, "name"), &s, NULL), 0);
	assert_string_equal(s, "web-0");
	assert_int_equal(json_string(json_get(q, "network"), &s, NULL), 0);
	assert_string_equal(s, "lab");
}

static void twice_is_as_once(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	daemon_set(FREE);
	expect_call(0, 0);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 0);
	expect_call(0, .verb = "DEL");
	expect_call(0, .verb = "DEL");
	expect_nothing_left();
}

static void an_add_for_another_device_takes_the_first_back(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	sh("ip link add later type veth peer name eth1 netns p1");
	sh("ip -n p1 link set eth0 name old && ip -n p1 link set eth1 name eth0");
	expect_call(0, 0);
	assert_false(pod_entry("veth-p1", &pod));
	assert_true(pod_entry("later", &pod));
	expect_call(0, .verb = "DEL");
	expect_nothing_left();
}

static void each_interface_of_a_pod_is_an_attachment(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	sh("ip link add second type veth peer name net1 netns p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	expect_call(0, .ifname = "net1", .prev = "{\"ips\":[{\"address\":\"fd00::2/64\"}]}");
	expect_call(0, .verb = "DEL");
	assert_false(pod_entry("veth-p1", &pod));
	assert_true(pod_entry("second", &pod));
	expect_call(0, .verb = "DEL", .ifname = "net1", .netns = "", .prev = "");
	expect_nothing_left();
}

static void the_snapshot_answers_when_there_is_no_daemon(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	pod_make("p2");
	policies_write(WEB_POLICY);
	snapshot_write(NODE "/state/snapshot", "p1", "{\"app\":\"web\"}", 9);
	expect_call(0, .conf = WEB_LABELS);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 9);
	expect_call(0, .pod = "p2");
	assert_true(pod_entry("veth-p2", &pod));
	assert_int_equal(pod.policy, 0);
	expect_call(0, .verb = "CHECK", .conf = WEB_LABELS);
	expect_call(0, .verb = "CHECK", .pod = "p2");
}

static void the_folder_is_compiled_when_the_snapshot_is_of_another(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	policies_write("---\n");
	snapshot_write(NODE "/state/snapshot", NULL, NULL, 0);
	policies_write(WEB_POLICY);
	snapshot_write(NODE "/next", "p1", "{\"app\":\"web\"}", 3);
	once_write("cat " NODE "/state/attachments/p1:eth0.json && cp " NODE "/next " NODE
		   "/state/snapshot");
	expect_call(0, .conf = WEB_LABELS);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 3);
	sh("grep -qx -- '--once --state-dir " NODE "/state --run-dir " NODE "/run --bpffs " NODE
	   "/bpf --policy-dir " NODE "/policies.d' " NODE "/once");
	expect_call(0, .conf = WEB_LABELS);
	sh("[ $(wc -l <" NODE "/once) = 1 ]");
}

static void a_program_that_is_not_in_the_kernel_yet_is_compiled(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	policies_write(WEB_POLICY);
	snapshot_write(NODE "/state/snapshot", NULL, NULL, 0);
	snapshot_write(NODE "/next", "p1", "{\"app\":\"web\"}", 4);
	once_write("mv " NODE "/next " NODE "/state/snapshot");
	expect_call(0, .conf = WEB_LABELS);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 4);
}

static void the_last_snapshot_stays_valid_when_a_compile_fails(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	policies_write(WEB_POLICY);
	snapshot_write(NODE "/state/snapshot", "p1", "{\"app\":\"web\"}", 9);
	policies_write("kind: Nonsense\n");
	once_write("echo a.yaml:1: unknown kind >&2; exit 1");
	expect_call(0, .conf = WEB_LABELS);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.policy, 9);
}

static void nobody_who_can_say_is_try_again_with_the_reason(void **state)
{
	dataplane_load();
	pod_make("p1");
	once_write(NULL);
	expect_call(11, 0);
	assert_non_null(strstr(node_message(), "default/p1"));
	assert_non_null(strstr(node_message(), "no sluiced to run"));
	expect_nothing_left();
	once_write("echo level=error event=why; echo no cluster CIDRs known >&2; exit 1");
	expect_call(11, 0);
	assert_non_null(strstr(node_message(), "no cluster CIDRs known"));
	expect_nothing_left();
	once_write("kill -9 $$");
	expect_call(11, 0);
	assert_non_null(strstr(node_message(), "signal 9"));
}

static void exempt_namespaces_and_open_failure_pass_without_an_answer(void **state)
{
	__cleanup(record_freep) struct record *rec = NULL;

	pod_make("p1");
	pod_make("p2");
	expect_call(0, .args = "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=dns");
	rec = node_record("p1", "eth0");
	assert_non_null(rec);
	assert_int_equal(rec->kind, ATTACH_VETH);
	assert_int_equal(rec->policy, 0);
	expect_call(0, .pod = "p2", .conf = "\"failureMode\":\"open\",");
	expect_call(0, .verb = "DEL");
	expect_call(0, .verb = "DEL", .pod = "p2");
	expect_nothing_left();
}

static void unknown_labels_quarantine_unless_exempt(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	daemon_set(UNDECIDED);
	expect_call(0, 0);
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.flags, SLU_POD_QUARANTINE);
	expect_call(0, .conf = "\"exemptNamespaces\":[\"default\"],");
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.flags, 0);
	expect_call(0, .conf = "\"failureMode\":\"open\",");
	assert_true(pod_entry("veth-p1", &pod));
	assert_int_equal(pod.flags, 0);
}

static void a_governed_pod_waits_for_its_data_plane(void **state)
{
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(11, 0);
	expect_nothing_left();
	daemon_set(FREE); /* one that no policy could match is never held up */
	expect_call(0, 0);
}

/* After a restart of the node: policies and snapshot are as before, and the kernel has nothing. */
static void a_snapshot_without_a_data_plane_is_compiled_again(void **state)
{
	pod_make("p1");
	policies_write(WEB_POLICY);
	snapshot_write(NODE "/state/snapshot", "p1", "{\"app\":\"web\"}", 9);
	once_write("exit 1");
	expect_call(11, .conf = WEB_LABELS);
	sh("grep -q -e --once " NODE "/once");
	expect_nothing_left();
}

static void without_a_record_no_pod_comes_in(void **state)
{
	struct slu_pod pod;

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	sh("mkdir -p " NODE "/state/attachments && mount -t tmpfs -o ro none " NODE
	   "/state/attachments");
	expect_call(102, 0);
	assert_false(pod_entry("veth-p1", &pod));
	sh("umount " NODE "/state/attachments");
	expect_call(0, 0);
	assert_true(pod_entry("veth-p1", &pod));
}

static void macvlan_is_attached_at_its_parent(void **state)
{
	__cleanup(record_freep) struct record *rec = NULL;

	dataplane_load();
	sh("ip netns add p1 && ip link add parent type veth peer name wire && "
	   "ip link set parent up");
	sh("ip link add mv0 link parent type macvlan && ip link set mv0 netns p1 name eth0");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	rec = node_record("p1", "eth0");
	assert_non_null(rec);
	assert_int_equal(rec->kind, ATTACH_MACVLAN);
	assert_int_equal(rec->ifindex, ifindex_of("parent"));
	expect_call(0, .verb = "CHECK");
	expect_call(0, .verb = "DEL", .netns = "", .prev = "");
	expect_nothing_left();
}

static bool macvlan_program_at(const char *parent)
{
	struct tc_state st = {0};
	struct err e = {0};

	/* of whatever id */
	expect_ok(tc_query(ifindex_of(parent), TC_DIR_EGRESS, 0,
			   bpf_prog_name(BPF_PROG_MACVLAN_EGRESS), &st, &e),
		  &e);
	return st.other_ours;
}

static void a_macvlan_parent_whose_last_pod_goes_is_as_before(void **state)
{
	dataplane_load();
	daemon_set(POLICY_7);
	for (int i = 1; i <= 2; i++) {
		sh("ip netns add p%d && ip link add parent%d type veth peer name wire%d && "
		   "ip link set parent%d up",
		   i, i, i, i);
		sh("ip link add mv0 link parent%d type macvlan && ip link set mv0 netns p%d name "
		   "eth0",
		   i, i);
	}
	expect_call(0, 0);
	expect_call(0, .pod = "p2");
	assert_true(macvlan_program_at("parent1") && macvlan_program_at("parent2"));
	expect_call(0, .verb = "DEL");
	assert_true(!macvlan_program_at("parent1") && macvlan_program_at("parent2"));
	expect_call(0, .verb = "DEL", .pod = "p2");
	expect_nothing_left();
}

static void what_cannot_be_governed_is_refused_only_when_selected(void **state)
{
	__cleanup(record_freep) struct record *rec = NULL;

	dataplane_load();
	sh("ip netns add p1 && ip -n p1 link add eth0 type bridge"); /* as ipvlan, host-device, … */
	daemon_set(POLICY_7);
	expect_call(100, 0);
	assert_non_null(strstr(node_message(), "'bridge'"));
	expect_nothing_left();
	daemon_set(FREE);
	expect_call(0, 0);
	rec = node_record("p1", "eth0");
	assert_non_null(rec);
	assert_int_equal(rec->kind, ATTACH_NONE);
	expect_call(0, .verb = "CHECK");
	expect_call(0, .verb = "DEL");
	expect_nothing_left();
}

static void a_pod_without_an_address_is_refused_only_when_selected(void **state)
{
	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(100, .prev = "{\"ips\":[]}");
	assert_non_null(strstr(node_message(), "no address"));
	daemon_set(FREE);
	expect_call(0, .prev = "{\"ips\":[]}");
	expect_call(0, .verb = "DEL");
	expect_nothing_left();
}

/* The peer is in namespace "third" under an index that some other pod's veth has here. */
static void an_index_in_another_namespace_is_not_taken_for_one_here(void **state)
{
	dataplane_load();
	pod_make("victim");
	sh("ip netns add third && ip netns add p1");
	sh("ip -n third link add odd index %u type veth peer name eth0 netns p1",
	   ifindex_of("veth-victim"));
	daemon_set(POLICY_7);
	expect_call(100, 0);
	assert_non_null(strstr(node_message(), "another namespace"));
	expect_nothing_left();
}

/* Somebody edits the list while pods run: new ones are refused, these must end all the same. */
static void an_entry_that_was_spoilt_keeps_no_pod_from_ending(void **state)
{
	static const char *const spoilt[] = {
		"\"failureMode\":\"ajar\",",
		"\"logLevel\":7,",
		"\"exemptNamespaces\":\"kube-system\",\"podLabels\":{\"a\":1},",
	};

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		expect_call(0, 0);
		expect_call(0, .verb = "DEL", .conf = spoilt[i]);
		expect_nothing_left();
	}
	expect_call(2, .conf = spoilt[0]);
	expect_call(7, .conf = spoilt[1]);
}

static void the_plugins_own_namespace_is_refused_before_anything(void **state)
{
	static const char *const verbs[] = {"ADD", "DEL", "CHECK"};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		expect_call(8, .verb = verbs[i], .netns = "/proc/self/ns/net",
			    .conf = "\"failureMode\":7,");
		assert_non_null(strstr(node_message(), "should not be the same"));
	}
	sh("! ls -d " NODE "/state 2>/dev/null");
	expect_call(8, .netns = "/run/netns/gone");
	expect_call(8, .netns = "/etc/passwd");
}

static void an_interface_that_is_not_there_is_an_error(void **state)
{
	sh("ip netns add p1");
	expect_call(4, 0);
	assert_non_null(strstr(node_message(), "CNI_IFNAME"));
	expect_nothing_left();
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, node_setup, node_teardown)
	const struct CMUnitTest tests[] = {
		T(what_the_daemon_says_is_in_force_when_add_returns),
		T(add_asks_with_all_it_knows_of_the_pod),
		T(twice_is_as_once),
		T(an_add_for_another_device_takes_the_first_back),
		T(each_interface_of_a_pod_is_an_attachment),
		T(the_snapshot_answers_when_there_is_no_daemon),
		T(the_folder_is_compiled_when_the_snapshot_is_of_another),
		T(a_program_that_is_not_in_the_kernel_yet_is_compiled),
		T(the_last_snapshot_stays_valid_when_a_compile_fails),
		T(nobody_who_can_say_is_try_again_with_the_reason),
		T(exempt_namespaces_and_open_failure_pass_without_an_answer),
		T(unknown_labels_quarantine_unless_exempt),
		T(a_governed_pod_waits_for_its_data_plane),
		T(a_snapshot_without_a_data_plane_is_compiled_again),
		T(without_a_record_no_pod_comes_in),
		T(macvlan_is_attached_at_its_parent),
		T(a_macvlan_parent_whose_last_pod_goes_is_as_before),
		T(what_cannot_be_governed_is_refused_only_when_selected),
		T(a_pod_without_an_address_is_refused_only_when_selected),
		T(an_index_in_another_namespace_is_not_taken_for_one_here),
		T(an_entry_that_was_spoilt_keeps_no_pod_from_ending),
		T(the_plugins_own_namespace_is_refused_before_anything),
		T(an_interface_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests_name("plugins/sluice/verbs", tests, NULL, NULL);
}
