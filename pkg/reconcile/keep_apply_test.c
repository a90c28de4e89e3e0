/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over a node whose conntrack table the test writes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/daemon_conf.h"
#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

#define WEB  "{\"app\":\"web\"}"
#define POD  "10.244.1.5"
#define OUT  "198.51.100.9"
#define SEEN "192.0.2.50"

#define WEB_POLICY(more)                                        \
	"apiVersion: sluice.dev/v1alpha1\n"                     \
	"kind: EgressPolicy\n"                                  \
	"metadata: {name: web}\n"                               \
	"spec:\n"                                               \
	"  " more "\n"                                          \
	"  subject: {podSelector: {matchLabels: {app: web}}}\n" \
	"  rules:\n"
#define AS_OFFICE "  - {name: out, action: Allow, via: {gateway: office}}\n"
#define AS_NODE	  "  - {name: out, action: Allow}\n"
#define KEEP	  "existingConnections: Keep"
#define RESET	  "existingConnections: Reset"

/* The node's gateway, the policy, a pod; the id of the gateway's address. */
static uint32_t office_id(uint32_t *ret_pod)
{
	struct slu_pod p = {0};
	uint32_t id = 0;

	if (sh_status("conntrack -L") != 0) {
		print_message("skipped: no conntrack tool, or no conntrack in this kernel\n");
		skip();
	}
	rnode_cluster("n1");
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_OFFICE);
	*ret_pod = rnode_pod("p1", 5, WEB);
	rnode_settle();
	assert_true(rnode_entry(*ret_pod, &p));
	rnode_decision(p.policy, OUT, &id);
	assert_in_range(id, SLU_ID_FIRST, SLU_ID_MAX - 1);
	return id;
}

/* A UDP connection of the pod that began as id (0: the node) and was answered. */
static void connection(uint16_t sport, uint32_t id)
{
	if (!id)
		sh("conntrack -I -s " POD " -d " OUT " -p udp --sport %u --dport 443 -t 100 "
		   "-u SEEN_REPLY --src-nat 192.0.2.1",
		   sport);
	else
		sh("conntrack -I -s " POD " -d " OUT " -p udp --sport %u --dport 443 -t 100 "
		   "-u SEEN_REPLY --orig-zone %u --src-nat " SEEN,
		   sport, id);
}

static struct bpf_pins *pins(void)
{
	struct bpf_pins *p = NULL;
	struct err e = {0};

	expect_ok(bpf_pins_open(rnode_conf()->bpffs, &p, &e), &e);
	return p;
}

static struct slu_flow flow(uint16_t sport)
{
	struct slu_flow f = {.lport = htons(sport), .rport = htons(443), .proto = IPPROTO_UDP};
	struct addr a;

	addr_parse(POD, &a);
	f.local = slu_addr_make(a);
	addr_parse(OUT, &a);
	f.remote = slu_addr_make(a);
	return f;
}

/* What the map says of it, -1 = nothing. */
static int kept_as(uint16_t sport)
{
	struct slu_flow f = flow(sport);
	struct bpf_pins *p = pins();
	uint32_t id;
	int r = bpf_map_lookup(p, BPF_MAP_KEPT, &f, &id, NULL);

	bpf_pins_close(p);
	return r == 0 ? (int)id : -1;
}

static bool flagged(uint32_t pod)
{
	struct slu_pod p = {0};

	return rnode_entry(pod, &p) && p.flags & SLU_POD_KEEP;
}

static int connections(void)
{
	int n = 0;

	while (n < 9 &&
	       sh_status("test $(conntrack -L -s " POD " 2>/dev/null | wc -l) = %d", n) != 0)
		n++;
	return n;
}

static void keeps_what_is_open_until_it_ends_over_restarts(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	connection(2, 0); /* is as it will be */
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	expect_rc(rnode_pass(), 0, &(struct err){0});
	assert_int_equal(kept_as(1), id);
	assert_int_equal(kept_as(2), -1);
	assert_true(flagged(pod));
	rnode_settle();
	rnode_restart();
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	assert_true(flagged(pod));
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_LOCAL);
	sh("conntrack -D -s " POD " -p udp --sport 1");
	rnode_restart(); /* looks at once, not only when ten seconds are over */
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(kept_as(1), -1);
	assert_false(flagged(pod));
	assert_int_equal(connections(), 1);
}

static void keeps_what_began_as_the_node_and_what_loses_its_policy(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	rnode_policy("web.yaml", NULL);
	rnode_settle();
	connection(2, 0);
	assert_int_equal(kept_as(1), id);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_OFFICE);
	rnode_settle();
	assert_int_equal(kept_as(1), -1);
	assert_int_equal(kept_as(2), 0);
	assert_true(flagged(pod));
}

static void resets_where_it_is_said(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	connection(2, 0);
	rnode_policy("web.yaml", WEB_POLICY(RESET) AS_NODE);
	rnode_settle();
	assert_int_equal(kept_as(1), -1);
	assert_false(flagged(pod));
	assert_int_equal(connections(), 1);
}

/* Nothing else changes, neither programs nor identities. */
static void resets_what_is_kept_when_nothing_but_that_is_said(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	connection(2, 0);
	rnode_policy("web.yaml", WEB_POLICY(RESET) AS_NODE);
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(kept_as(1), -1);
	assert_false(flagged(pod));
	assert_int_equal(connections(), 1);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(connections(), 1);
}

/* Nobody becomes somebody else by it, so conntrack is not asked, which takes its time. */
static void an_edit_of_verdicts_looks_at_no_connection(void **state)
{
	static const char deny[] = "  - {name: no, action: Deny, to: [{cidr: 203.0.113.0/24}]}\n";
	uint32_t pod, id = office_id(&pod);
	char policy[1024];

	connection(1, id);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	connection(2, id); /* nobody knows of it before somebody looks */
	snprintf(policy, sizeof(policy), "%s%s%s", WEB_POLICY(KEEP), deny, AS_NODE);
	rnode_policy("web.yaml", policy);
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	assert_true(flagged(pod));
	assert_int_equal(kept_as(2), -1);
	snprintf(policy, sizeof(policy), "%s%s%s", WEB_POLICY(RESET), deny, AS_OFFICE);
	rnode_policy("web.yaml", policy); /* and one of identity does */
	connection(3, 0);
	rnode_settle();
	assert_int_equal(kept_as(1), -1); /* is as it would begin now */
	assert_int_equal(connections(), 2);
}

static void lets_go_of_all_when_the_address_is_gone(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	rnode_cluster("n2");
	rnode_settle();
	assert_int_equal(kept_as(1), id); /* it is another node's now: the same id */
	rnode_policy("00-cluster.yaml",
		     "apiVersion: sluice.dev/v1alpha1\n"
		     "kind: SluiceConfig\n"
		     "metadata: {name: default}\n"
		     "spec: {clusterCIDRs: [10.244.0.0/16, \"fd00:244::/32\"]}\n");
	rnode_settle();
	assert_int_equal(rnode_egress(id).state, SLU_ADDR_FREE);
	rnode_restart();
	rnode_settle();
	assert_int_equal(kept_as(1), -1);
	assert_int_equal(connections(), 0);
}

/* Waits until so many connections are there. */
static void connections_become(int n)
{
	for (int64_t end = clock_ms() + 30000; connections() != n && clock_ms() < end;) {
		reconcile_timers(rnode());
		usleep(50000);
	}
	assert_int_equal(connections(), n);
}

static void forgets_what_began_as_an_address_that_another_node_has(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	connection(2, 0);
	reconcile_timers(rnode());
	rnode_cluster("n2");
	rnode_settle();
	assert_int_equal(connections(), 2); /* packets may be under way */
	connections_become(1);
	/* and what is here is kept */
	rnode_cluster("n1");
	rnode_settle();
	connection(4, id);
	reconcile_timers(rnode());
	assert_int_equal(connections(), 2);
}

/* It leaves neither entries nor connections, whoever has its address next and whenever. */
static void leaves_nothing_of_a_pod_that_is_gone(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	connection(2, 0);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	rnode_settle();
	assert_int_equal(kept_as(1), id);
	sh("ip link del veth-p1; ip netns del p1"); /* a namespace takes its veth along, but in its
						       own time */
	rnode_pod_age("p1", 60);
	rnode_settle();
	assert_false(rnode_record("p1"));
	assert_int_equal(kept_as(1), -1);
	assert_int_equal(connections(), 0);
}

static void inherits_nothing_from_a_pod_that_went_unseen(void **state)
{
	uint32_t pod, id = office_id(&pod);

	connection(1, id);
	rnode_policy("web.yaml", WEB_POLICY(KEEP) AS_NODE);
	rnode_settle();
	for (int restarted = 0; restarted < 2; restarted++) {
		const char *name = restarted ? "p3" : "p2";

		connection(2, 0);
		sh("rm " RNODE "/state/attachments/*; ip link del veth-%s; ip netns del %s",
		   restarted ? "p2" : "p1", restarted ? "p2" : "p1");
		pod = rnode_pod(name, 5, WEB);
		if (restarted)
			rnode_restart();
		else
			reconcile_records_changed(rnode());
		rnode_settle();
		assert_false(flagged(pod));
		assert_int_equal(kept_as(1), -1);
		assert_int_equal(connections(), 1); /* as it would begin now: nothing to inherit */
		sh("conntrack -D -s " POD);
		connection(1, id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_what_is_open_until_it_ends_over_restarts,
						rnode_setup, rnode_teardown),
		cmocka_unit_test_setup_teardown(
			keeps_what_began_as_the_node_and_what_loses_its_policy, rnode_setup,
			rnode_teardown),
		cmocka_unit_test_setup_teardown(resets_where_it_is_said, rnode_setup,
						rnode_teardown),
		cmocka_unit_test_setup_teardown(resets_what_is_kept_when_nothing_but_that_is_said,
						rnode_setup, rnode_teardown),
		cmocka_unit_test_setup_teardown(an_edit_of_verdicts_looks_at_no_connection,
						rnode_setup, rnode_teardown),
		cmocka_unit_test_setup_teardown(lets_go_of_all_when_the_address_is_gone,
						rnode_setup, rnode_teardown),
		cmocka_unit_test_setup_teardown(
			forgets_what_began_as_an_address_that_another_node_has, rnode_setup,
			rnode_teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_of_a_pod_that_is_gone, rnode_setup,
						rnode_teardown),
		cmocka_unit_test_setup_teardown(inherits_nothing_from_a_pod_that_went_unseen,
						rnode_setup, rnode_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
