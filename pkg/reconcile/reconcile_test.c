/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/journal.h"
#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

static struct slu_pod entry(uint32_t ifindex)
{
	struct slu_pod p = {0};

	assert_true(rnode_entry(ifindex, &p));
	return p;
}

/* The cluster, and a pod that the policy "web" governs. */
static uint32_t web_under(const char *policy)
{
	uint32_t pod;

	rnode_cluster("n1");
	rnode_policy("web.yaml", policy);
	pod = rnode_pod("p1", 5, WEB);
	rnode_settle();
	return pod;
}

static void makes_an_empty_node_right(void **state)
{
	rnode_settle();
	sh("ip link show sluice0 | grep -q LOWER_UP");
	sh("ip rule show | grep -q 'fwmark 0x80000000/0x80000000 lookup 5347'");
	sh("ip route show table 5347 | grep -q '^unreachable default'");
	sh("nft list table inet sluice >/dev/null");
}

static void finds_nothing_to_do_after_a_restart(void **state)
{
	uint32_t id;

	web_under(POLICY("web", DENY_DOCS AS_OFFICE));
	rnode_restart();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_changes(), 0);
	assert_int_equal(rnode_decision(1, "203.0.113.9", &id), SLU_DENY);
}

/* Killed after the maps and before the epoch, it would leave processors with old answers. */
static void a_start_makes_every_answer_that_is_remembered_an_old_one(void **state)
{
	uint32_t zero = 0, before, after;

	web_under(POLICY("web", DENY_DOCS AS_OFFICE));
	assert_true(rnode_map_get(BPF_MAP_EPOCH, &zero, &before));
	rnode_restart();
	rnode_settle();
	assert_int_equal(rnode_changes(), 0);
	assert_true(rnode_map_get(BPF_MAP_EPOCH, &zero, &after));
	assert_int_not_equal(before, after);
}

static void governs_the_pods_that_a_policy_selects(void **state)
{
	uint32_t web, other, id;
	struct slu_pod p;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS AS_OFFICE));
	web = rnode_pod("p1", 5, WEB);
	other = rnode_pod("p2", 6, "{}");
	rnode_settle();
	p = entry(web);
	assert_int_not_equal(p.policy, 0);
	assert_int_equal(p.naddr, 1);
	assert_int_equal(p.mac[5], 5);
	assert_int_equal(entry(other).policy, 0);
	assert_int_equal(rnode_decision(p.policy, "203.0.113.9", &id), SLU_DENY);
	assert_int_equal(rnode_decision(p.policy, "198.51.100.9", &id), SLU_ALLOW);
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_LOCAL);
	rnode_decision(p.policy, "2001:db8:9::9", &id);
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_LOCAL);
}

/* The id stays, the content is switched, and all that the old one used is free again. */
static void switches_a_policy_under_its_pods(void **state)
{
	uint32_t pod, policy, id, before, after;

	pod = web_under(POLICY("web", AS_OFFICE));
	policy = entry(pod).policy;
	rnode_decision(policy, "203.0.113.9", &before);
	for (int i = 0; i < 20; i++) {
		rnode_policy("web.yaml",
			     i % 2 ? POLICY("web", AS_OFFICE) : POLICY("web", DENY_DOCS AS_OFFICE));
		rnode_settle();
		assert_int_equal(entry(pod).policy, policy);
		assert_int_equal(rnode_decision(policy, "203.0.113.9", &id),
				 i % 2 ? SLU_ALLOW : SLU_DENY);
	}
	rnode_decision(policy, "198.51.100.9", &after);
	assert_int_equal(before, after);
}

static void gives_a_pod_that_leaves_a_policy_another_program(void **state)
{
	uint32_t a, b, policy, id;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE));
	a = rnode_pod("p1", 5, WEB);
	b = rnode_pod("p2", 6, "{\"app\":\"web\",\"x\":\"y\"}");
	rnode_settle();
	policy = entry(a).policy;
	assert_int_equal(entry(b).policy, policy);
	rnode_policy("more.yaml", "apiVersion: sluice.dev/v1alpha1\n"
				  "kind: ClusterEgressPolicy\n"
				  "metadata: {name: x}\n"
				  "spec:\n"
				  "  subject: {podSelector: {matchLabels: {x: y}}}\n"
				  "  rules: [{name: no, action: Deny}]\n");
	rnode_settle();
	assert_int_equal(entry(a).policy, policy);
	assert_int_not_equal(entry(b).policy, policy);
	assert_int_equal(rnode_decision(policy, "198.51.100.9", &id), SLU_ALLOW);
	assert_int_equal(rnode_decision(entry(b).policy, "198.51.100.9", &id), SLU_DENY);
	rnode_policy("web.yaml", NULL);
	rnode_settle();
	assert_int_equal(entry(a).policy, 0);
}

static void keeps_the_last_good_policies_over_a_restart(void **state)
{
	uint32_t pod, id;

	pod = web_under(POLICY("web", DENY_DOCS AS_OFFICE));
	rnode_policy("bad.yaml", POLICY("bad", "  - {name: x, action: Maybe}\n"));
	rnode_settle();
	assert_int_equal(rnode_decision(entry(pod).policy, "203.0.113.9", &id), SLU_DENY);
	rnode_restart();
	rnode_settle();
	assert_int_equal(rnode_decision(entry(pod).policy, "203.0.113.9", &id), SLU_DENY);
	rnode_policy("bad.yaml", NULL);
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE));
	rnode_settle();
	assert_int_equal(rnode_decision(entry(pod).policy, "203.0.113.9", &id), SLU_ALLOW);
}

static void touches_nothing_without_any_valid_policies(void **state)
{
	rnode_policy("bad.yaml", "kind: Nonsense\n");
	assert_true(rnode_pass() < 0);
	assert_non_null(strstr(rnode_error(), "bad.yaml"));
	assert_int_not_equal(sh_status("ip link show sluice0"), 0);
}

static void mends_what_is_removed(void **state)
{
	static const char *const faults[] = {
		"ip rule del priority 1000",
		"ip -6 rule del priority 1000",
		"ip rule del priority 999",
		"ip route flush table 5347",
		"ip -6 route flush table 5347",
		"ip route flush table 5348",
		"ip route replace default dev eth0 table 5347 proto 83",
		"ip neigh del 169.254.83.2 dev sluice0",
		"ip -6 neigh del fe80::53:2 dev sluice0",
		"ip addr flush dev sluice0",
		"ip link set sluice0 down",
		"ip link set sluice0 mtu 1300",
		"ip link del sluice0",
		"ip link del sluice0 && ip link add sluice0 type bridge",
		"ip link del sluice0 && ip link add sluice0 type vxlan external dstport 4444",
		"sysctl -qw net.ipv4.conf.sluice0.rp_filter=0",
		"nft delete table inet sluice",
		"nft flush ruleset",
		"ip addr del 192.0.2.50/32 dev eth0",
		"ip addr del 2001:db8::50/128 dev eth0",
	};

	web_under(POLICY("web", AS_OFFICE));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		sh("%s", faults[i]);
		assert_int_equal(rnode_pass(), 0);
		if (rnode_changes() == 0 && rnode_pass() == 0)
			fail_msg("'%s' was not noticed", faults[i]);
		rnode_settle();
	}
	sh("ip addr show dev eth0 | grep -q 192.0.2.50/32");
}

static void puts_back_a_pods_entry_and_program(void **state)
{
	struct bpf_pins *pins = NULL;
	struct err e = {0};
	uint32_t pod;

	pod = web_under(POLICY("web", AS_OFFICE));
	expect_ok(bpf_pins_open(rnode_conf()->bpffs, &pins, &e), &e);
	expect_ok(bpf_map_delete(pins, BPF_MAP_PODS, &pod, &e), &e);
	bpf_pins_close(pins);
	rnode_settle();
	assert_int_not_equal(entry(pod).policy, 0);
}

static void loads_again_what_was_unpinned(void **state)
{
	uint32_t pod, id;

	pod = web_under(POLICY("web", DENY_DOCS AS_OFFICE));
	sh("rm -r " RNODE "/bpf/v%d", SLU_ABI);
	rnode_settle();
	assert_int_equal(rnode_decision(entry(pod).policy, "203.0.113.9", &id), SLU_DENY);
}

static void loads_again_one_map_that_was_unpinned(void **state)
{
	static const char *const names[] = {"pods", "nodes", "policies", "slu_from_pod"};
	uint32_t pod, id;

	pod = web_under(POLICY("web", DENY_DOCS AS_OFFICE));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		sh("rm " RNODE "/bpf/v%d/%s", SLU_ABI, names[i]);
		rnode_settle();
		assert_int_equal(rnode_decision(entry(pod).policy, "203.0.113.9", &id), SLU_DENY);
	}
}

static void leaves_a_pod_alone_while_its_add_is_at_work(void **state)
{
	struct journal *j = NULL;
	struct err e = {0};
	uint32_t pod;
	int lock = -1;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE));
	rnode_settle();
	pod = rnode_pod("p1", 5, WEB);
	expect_ok(journal_open(rnode_conf()->state_dir, rnode_conf()->run_dir, &j, &e), &e);
	expect_ok(journal_lock(j, "p1", "eth0", 0, &lock, &e), &e);
	assert_int_equal(rnode_pass(), 0);
	assert_false(rnode_entry(pod, &(struct slu_pod){0}));
	close(lock);
	journal_close(j);
	rnode_settle();
	assert_int_not_equal(entry(pod).policy, 0);
}

/* A DEL that was killed between the interface and the record, or never came. */
static void collects_what_a_pod_left_behind(void **state)
{
	uint32_t pod;

	pod = web_under(POLICY("web", AS_OFFICE));
	sh("ip netns del p1");
	while (sh_status("ip link show veth-p1") == 0)
		usleep(10000);
	assert_int_equal(rnode_pass(), 0);
	assert_false(rnode_record("p1"));
	assert_false(rnode_entry(pod, &(struct slu_pod){0}));
	rnode_settle();
}

static void lets_go_of_an_entry_without_a_record(void **state)
{
	struct journal *j = NULL;
	struct err e = {0};
	uint32_t pod;

	pod = web_under(POLICY("web", AS_OFFICE));
	expect_ok(journal_open(rnode_conf()->state_dir, rnode_conf()->run_dir, &j, &e), &e);
	expect_ok(journal_remove(j, "p1", "eth0", &e), &e);
	journal_close(j);
	reconcile_records_changed(rnode());
	rnode_settle();
	assert_false(rnode_entry(pod, &(struct slu_pod){0}));
}

/* Its namespace has gone, and nobody sent a DEL: it must not be young for an hour. */
static void collects_what_was_added_before_the_clock_was_set_back(void **state)
{
	struct journal *j = NULL;
	struct record *rec = NULL;
	struct err e = {0};

	web_under(POLICY("web", AS_OFFICE));
	expect_ok(journal_open(rnode_conf()->state_dir, rnode_conf()->run_dir, &j, &e), &e);
	expect_ok(journal_load(j, "p1", "eth0", &rec, &e), &e);
	rec->kind = ATTACH_NONE;
	free(rec->netns);
	rec->netns = mem_strdup("/run/netns/gone");
	expect_ok(journal_store(j, rec, &e), &e);
	record_free(rec);
	journal_close(j);
	reconcile_records_changed(rnode());
	rnode_settle();
	assert_true(rnode_record("p1"));
	rnode_pod_age("p1", -3600);
	reconcile_records_changed(rnode());
	assert_int_equal(rnode_pass(), 0);
	assert_false(rnode_record("p1"));
}

/* A path is used again, or is another process's: the veth tells whether the pod lives. */
static void never_lets_go_of_an_interface_whose_record_is_there(void **state)
{
	int ns, tries = 0;
	uint32_t pod;

	pod = web_under(POLICY("web", AS_OFFICE));
	ns = open("/run/netns/p1", O_RDONLY | O_CLOEXEC);
	assert_true(ns >= 0);
	sh("umount -l /run/netns/p1"); /* the path is another file now */
	rnode_pod_age("p1", 60);
	assert_int_equal(rnode_pass(), 0);
	assert_true(rnode_entry(pod, &(struct slu_pod){0}));
	assert_true(rnode_record("p1"));
	close(ns);
	while (sh_status("ip link show veth-p1 >/dev/null 2>&1") == 0 && tries++ < 1500)
		usleep(20000);
	assert_int_equal(rnode_pass(), 0);
	assert_false(rnode_record("p1"));
}

/* Between two nodes of ours an address moves within a second or two. */
static void claims_an_address_soon_after_another_let_go(void **state)
{
	sh("ip -n peer addr add 192.0.2.50/32 dev eth0");
	rnode_cluster("n1");
	assert_int_equal(rnode_pass(), 0);
	assert_int_not_equal(sh_status("ip addr show dev eth0 | grep -q 192.0.2.50"), 0);
	sh("ip -n peer addr del 192.0.2.50/32 dev eth0");
	usleep(300000);
	rnode_settle();
	sh("ip addr show dev eth0 | grep -q 192.0.2.50/32");
}

static void finds_its_node_object_by_address(void **state)
{
	uint32_t pod, id;

	free(rnode_conf()->node_name);
	rnode_conf()->node_name = strdup("some-host-name");
	rnode_restart();
	pod = web_under(POLICY("web", AS_OFFICE));
	rnode_decision(entry(pod).policy, "198.51.100.9", &id);
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_LOCAL);
}

static void does_not_claim_what_another_has(void **state)
{
	__cleanup_json struct json *status = NULL;
	__cleanup_free char *text = NULL;
	uint32_t pod, id;

	sh("ip -n peer addr add 192.0.2.50/32 dev eth0");
	pod = web_under(POLICY("web", AS_OFFICE));
	assert_int_not_equal(sh_status("ip addr show dev eth0 | grep -q 192.0.2.50"), 0);
	rnode_decision(entry(pod).policy, "198.51.100.9", &id);
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_NO_OWNER);
	status = reconcile_status(rnode());
	text = json_emit(status, 0);
	assert_non_null(strstr(text, "\"state\":\"Conflict\""));
	assert_non_null(strstr(text, "\"ready\":false"));
	assert_non_null(strstr(text, "\"address\":\"2001:db8::50\",\"gateway\":\"office\","
				     "\"owner\":\"n1\",\"state\":\"Local\""));
}

static void gives_an_address_back_when_another_node_owns_it(void **state)
{
	uint32_t pod, id;

	pod = web_under(POLICY("web", AS_OFFICE));
	rnode_cluster("n2");
	rnode_settle();
	rnode_decision(entry(pod).policy, "198.51.100.9", &id);
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_REMOTE);
	assert_int_not_equal(sh_status("ip addr show dev eth0 | grep -q 192.0.2.50"), 0);
	rnode_cluster("n1");
	rnode_settle();
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_LOCAL);
}

static void leaves_other_peoples_things_alone(void **state)
{
	sh("ip addr add 192.0.2.60/24 dev eth0");
	sh("ip rule add priority 1001 fwmark 0x1/0x1 lookup 77");
	sh("ip route add 203.0.113.0/24 dev eth0 table 77");
	sh("nft add table inet other && nft 'add chain inet other c'");
	rnode_cluster("n1");
	rnode_settle();
	rnode_cluster("n2");
	rnode_settle();
	sh("ip addr show dev eth0 | grep -q 192.0.2.60/24");
	sh("ip rule show priority 1001 | grep -q 'lookup 77'");
	sh("ip route show table 77 | grep -q 203.0.113.0/24");
	sh("nft list chain inet other c >/dev/null");
}

static void refuses_a_table_that_somebody_else_uses(void **state)
{
	sh("ip route add 203.0.113.0/24 dev eth0 table 5347");
	assert_int_equal(rnode_pass(), -EEXIST);
	assert_non_null(strstr(rnode_error(), "route table 5347"));
	sh("ip route del 203.0.113.0/24 dev eth0 table 5347");
	rnode_settle();
}

static void uses_the_path_s_mtu(void **state)
{
	rnode_cluster("n2");
	sh("ip link set eth0 mtu 1400");
	rnode_settle();
	sh("ip link show sluice0 | grep -q 'mtu 1350'");
	sh("ip -6 route show table 5347 | grep -q '^default.* mtu 1330'");
	sh("ip route add 192.0.2.2/32 dev eth0 mtu 1380");
	reconcile_network_changed(rnode()); /* as the kernel tells the daemon */
	rnode_settle();
	sh("ip link show sluice0 | grep -q 'mtu 1330'");
	/* and what nobody tells is found after a while */
	sh("ip route change 192.0.2.2/32 dev eth0 mtu 1370");
	for (int i = 0; i < 300 && sh_status("ip link show sluice0 | grep -q 'mtu 1320'") != 0;
	     i++) {
		usleep(100000);
		rnode_pass();
	}
	rnode_settle();
	sh("ip link show sluice0 | grep -q 'mtu 1320'");
}

static void takes_everything_away(void **state)
{
	struct err e = {0};
	uint32_t pod;

	pod = web_under(POLICY("web", AS_OFFICE));
	expect_ok(reconcile_cleanup(rnode_conf(), &e), &e);
	assert_int_not_equal(sh_status("ip link show sluice0"), 0);
	assert_int_not_equal(sh_status("nft list table inet sluice"), 0);
	assert_int_not_equal(sh_status("ip rule show | grep -q 'lookup 534'"), 0);
	assert_int_not_equal(sh_status("ip -6 rule show | grep -q 'lookup 534'"), 0);
	assert_int_not_equal(sh_status("ip route show table all | grep -q 'table 534'"), 0);
	assert_int_not_equal(sh_status("ip addr show dev eth0 | grep -q '192.0.2.50'"), 0);
	assert_int_not_equal(sh_status("ls " RNODE "/bpf/v%d", SLU_ABI), 0);
	expect_ok(reconcile_cleanup(rnode_conf(), &e), &e); /* nothing there: fine, too */
	rnode_restart();
	rnode_settle();
	assert_int_not_equal(entry(pod).policy, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rnode_setup, rnode_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(makes_an_empty_node_right),
		TEST(finds_nothing_to_do_after_a_restart),
		TEST(a_start_makes_every_answer_that_is_remembered_an_old_one),
		TEST(governs_the_pods_that_a_policy_selects),
		TEST(switches_a_policy_under_its_pods),
		TEST(gives_a_pod_that_leaves_a_policy_another_program),
		TEST(keeps_the_last_good_policies_over_a_restart),
		TEST(touches_nothing_without_any_valid_policies),
		TEST(mends_what_is_removed),
		TEST(puts_back_a_pods_entry_and_program),
		TEST(loads_again_what_was_unpinned),
		TEST(loads_again_one_map_that_was_unpinned),
		TEST(leaves_a_pod_alone_while_its_add_is_at_work),
		TEST(collects_what_a_pod_left_behind),
		TEST(lets_go_of_an_entry_without_a_record),
		TEST(collects_what_was_added_before_the_clock_was_set_back),
		TEST(never_lets_go_of_an_interface_whose_record_is_there),
		TEST(does_not_claim_what_another_has),
		TEST(claims_an_address_soon_after_another_let_go),
		TEST(finds_its_node_object_by_address),
		TEST(gives_an_address_back_when_another_node_owns_it),
		TEST(leaves_other_peoples_things_alone),
		TEST(refuses_a_table_that_somebody_else_uses),
		TEST(uses_the_path_s_mtu),
		TEST(takes_everything_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
