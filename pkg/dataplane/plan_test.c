/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "dataplane/plan.h"
#include "testkit/addr_fixture.h"

#define ETH 7 /* ifindex of an uplink */
#define ID  SLU_ID_FIRST

#define ADD(list, n, ...)                    \
	do {                                 \
		MEM_GROW(list, n);           \
		(list)[(n)++] = __VA_ARGS__; \
	} while (0)

static void egress_set(struct dp_model *m, uint32_t id, const char *addr, uint32_t state)
{
	m->egress[id] = (struct slu_egress){
		.state = state,
		.vni = 1,
		.addr = slu_addr_make(addr_of(addr)),
		.endpoint = slu_addr_make(addr_of(addr)),
	};
}

/* What a gateway that owns 192.0.2.10 has: the address, the tunnel end and the id. */
static void own(struct dp_model *m)
{
	egress_set(m, ID, "192.0.2.10", SLU_ADDR_LOCAL);
	ADD(m->addrs, m->n_addrs,
	    (struct ifaddr){
		    .ifindex = ETH, .addr = addr_of("192.0.2.10"), .prefix_len = 32, .ours = true});
	ADD(m->owned, m->n_owned,
	    (struct dp_owned){.key = {slu_addr_make(addr_of("192.0.2.10")), 1}, .id = ID});
	dp_model_sort(m);
}

/* A node with everything but egress addresses and pods. */
static struct dp_model *node(void)
{
	static const uint8_t mac[6] = SLU_MAC_DEVICE;
	struct dp_model *m = dp_model_new();
	struct neigh n = {.addr = addr_of("169.254.83.2"), .permanent = true};

	memcpy(n.mac, mac, sizeof(mac));
	m->link = (struct dp_link){.present = true,
				   .up = true,
				   .port = 5347,
				   .mtu = 1450,
				   .rp_filter = 2,
				   .to_tunnel = true,
				   .from_tunnel = true};
	ADD(m->addrs, m->n_addrs,
	    (struct ifaddr){.addr = addr_of("169.254.83.1"), .prefix_len = 32, .ours = true});
	ADD(m->neighs, m->n_neighs, n);
	ADD(m->rules, m->n_rules,
	    (struct fib_rule){AF_INET, DP_RULE_DIVERT, 0x80000000, 0x80000000, DP_TABLE_DIVERT});
	ADD(m->routes, m->n_routes,
	    (struct route){.dst = cidr_all(true),
			   .type = ROUTE_UNICAST,
			   .table = DP_TABLE_DIVERT,
			   .via = addr_of("169.254.83.2")});
	ADD(m->routes, m->n_routes,
	    (struct route){.dst = cidr_all(true),
			   .type = ROUTE_UNREACHABLE,
			   .table = DP_TABLE_DIVERT,
			   .metric = DP_METRIC_LAST});
	ADD(m->routes, m->n_routes,
	    (struct route){.dst = cidr_of("10.244.0.0/16"),
			   .type = ROUTE_THROW,
			   .table = DP_TABLE_DIVERT});
	ADD(m->inside, m->n_inside,
	    (struct dp_inside){slu_lpm_key_make(cidr_of("10.244.0.0/16")), SLU_INSIDE_ALL});
	m->config = (struct slu_config){.mark_mask = SLU_MARK_MASK_DEFAULT, .mark_shift = 21};
	m->nft = true;
	dp_model_sort(m);
	return m;
}

static void pod_add(struct dp_model *m, uint32_t ifindex, uint32_t policy, bool attached)
{
	ADD(m->pods, m->n_pods,
	    (struct dp_pod){.a = {.ifindex = ifindex, .pod = {.policy = policy}},
			    .attached = attached});
	dp_model_sort(m);
}

/* The steps' names in order, with one blank between. Frees both models. */
static char *steps(struct dp_model *want, struct dp_model *have)
{
	struct dp_plan *p = dp_plan_new(want, have, NULL);
	char *text = mem_strdup("");

	for (size_t i = 0; i < p->n; i++) {
		const struct dp_step *s = &p->steps[i];
		const char *blank = *text ? " " : "";
		char *longer = s->op == DP_EGRESS_STATE
				       ? mem_printf("%s%s%s=%u", text, blank, dp_op_name(s->op),
						    s->state)
				       : mem_printf("%s%s%s", text, blank, dp_op_name(s->op));

		free(text);
		text = longer;
	}
	dp_plan_free(p);
	dp_model_free(want);
	dp_model_free(have);
	return text;
}

static void expect(struct dp_model *want, struct dp_model *have, const char *expected)
{
	char *text = steps(want, have);

	assert_string_equal(text, expected);
	free(text);
}

static void plans_nothing_where_all_is_right(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(want);
	own(have);
	pod_add(want, 12, 3, true);
	pod_add(have, 12, 3, true);
	expect(want, have, "");
}

static void puts_the_guard_in_force_when_it_knows_the_addresses(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(want);
	own(have);
	have->no_guard = true;
	expect(want, have, "guard");
	want = node();
	have = node();
	own(want);
	have->no_guard = true;
	have->nft_differs = 1;
	pod_add(want, 12, 3, true);
	expect(want, have, "addr-add nft owned-set egress-set egress-state=1 guard pod-attach");
	have = node();
	have->no_guard = true;
	expect(dp_model_new(), have,
	       "config inside-del epoch nft-del link-del route-del route-del rule-del");
}

static void builds_a_node_guards_first(void **state)
{
	struct dp_model *have = dp_model_new();

	have->nft_differs = 2;
	expect(node(), have,
	       "config inside-set epoch link-add link-rp-filter link-to-tunnel link-from-tunnel "
	       "link-set "
	       "addr-add neigh-set route-add route-add route-add rule-add nft");
}

/* What stops packets is there before what sends them on, and both before the rule. */
static void adds_the_unreachable_route_before_the_default(void **state)
{
	struct dp_model *want = node(), *have = dp_model_new();
	struct dp_plan *p = dp_plan_new(want, have, NULL);
	const struct route *first = NULL, *last = NULL;

	for (size_t i = 0; i < p->n; i++) {
		if (p->steps[i].op != DP_ROUTE_ADD)
			continue;
		first = first ? first : p->steps[i].arg;
		last = p->steps[i].arg;
	}
	assert_int_not_equal(first->type, ROUTE_UNICAST);
	assert_int_equal(last->type, ROUTE_UNICAST);
	dp_plan_free(p);
	dp_model_free(want);
	dp_model_free(have);
}

static void claims_an_address_state_last(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(want);
	have->nft_differs = 1;
	expect(want, have, "addr-add nft owned-set egress-set egress-state=1");
}

static void releases_an_address_state_first(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(have);
	egress_set(want, ID, "192.0.2.10", SLU_ADDR_REMOTE);
	have->nft_differs = 1;
	expect(want, have, "egress-state=2 nft owned-del addr-del");
}

static void takes_over_a_remote_address_state_last(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(want);
	egress_set(have, ID, "192.0.2.10", SLU_ADDR_REMOTE);
	have->nft_differs = 1;
	expect(want, have, "addr-add nft owned-set egress-state=1");
}

static void stops_an_address_before_its_id_means_another(void **state)
{
	struct dp_model *want = node(), *have = node();

	egress_set(want, ID, "192.0.2.77", SLU_ADDR_REMOTE);
	egress_set(have, ID, "192.0.2.10", SLU_ADDR_REMOTE);
	expect(want, have, "egress-state=3 egress-set egress-state=2");
}

static void frees_an_id_after_everything_else(void **state)
{
	struct dp_model *want = node(), *have = node();

	own(have);
	pod_add(have, 12, 3, true);
	have->nft_differs = 1;
	expect(want, have, "egress-state=3 nft pod-close owned-del egress-free addr-del");
}

static void mends_what_somebody_removed(void **state)
{
	static const struct {
		const char *what, *expected;
	} rows[] = {
		{"rule", "rule-add"},
		{"routes", "route-add route-add route-add"},
		{"neigh", "neigh-set"},
		{"addr", "addr-add"},
		{"down", "link-set"},
		{"mtu", "link-set"},
		{"rp_filter", "link-rp-filter"},
		{"to_tunnel", "link-to-tunnel"},
		{"nft", "nft"},
		{"filter", "pod-attach"},
		{"entry", "pod-attach"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_model *want = node(), *have = node();

		pod_add(want, 12, 3, true);
		pod_add(have, 12, 3, strcmp(rows[i].what, "filter") != 0);
		if (strcmp(rows[i].what, "rule") == 0)
			have->n_rules = 0;
		if (strcmp(rows[i].what, "routes") == 0)
			have->n_routes = 0;
		if (strcmp(rows[i].what, "neigh") == 0)
			have->neighs[0].permanent = false;
		if (strcmp(rows[i].what, "addr") == 0)
			have->n_addrs = 0;
		have->link.up = strcmp(rows[i].what, "down") != 0;
		have->link.mtu = strcmp(rows[i].what, "mtu") == 0 ? 1400 : 1450;
		have->link.rp_filter = strcmp(rows[i].what, "rp_filter") == 0 ? 0 : 2;
		have->link.to_tunnel = strcmp(rows[i].what, "to_tunnel") != 0;
		have->nft_differs = strcmp(rows[i].what, "nft") == 0 ? 2 : 0;
		if (strcmp(rows[i].what, "entry") == 0)
			have->n_pods = 0;
		expect(want, have, rows[i].expected);
	}
}

/* Another port, or something else of that name: what stood on the device goes with it. */
static void makes_the_device_anew_with_all_that_stood_on_it(void **state)
{
	struct dp_model *have = node();

	have->link.port = 4789;
	expect(node(), have,
	       "link-del link-add link-rp-filter link-to-tunnel link-from-tunnel link-set addr-add "
	       "neigh-set route-add");
	have = node();
	have->link.wrong = true;
	expect(node(), have,
	       "link-del link-add link-rp-filter link-to-tunnel link-from-tunnel link-set addr-add "
	       "neigh-set route-add");
}

static void replaces_a_route_that_leads_elsewhere(void **state)
{
	struct dp_model *have = node();

	for (size_t i = 0; i < have->n_routes; i++)
		if (have->routes[i].type == ROUTE_UNICAST)
			have->routes[i].ifindex = ETH;
	expect(node(), have, "route-del route-add");
}

static void removes_what_is_not_wanted_adding_first(void **state)
{
	struct dp_model *want = node(), *have = node();

	ADD(have->inside, have->n_inside,
	    (struct dp_inside){slu_lpm_key_make(cidr_of("10.99.0.0/16")), SLU_INSIDE_ALL});
	dp_model_sort(have);
	ADD(want->senders, want->n_senders,
	    (struct dp_sender){slu_addr_make(addr_of("192.0.2.2")), 1});
	want->nodes[1].v4 = slu_addr_make(addr_of("192.0.2.2"));
	expect(want, have, "node sender-set inside-del epoch");
}

static struct dp_service service(const char *endpoint)
{
	return (struct dp_service){
		.at = {slu_addr_make(addr_of("10.244.0.10")), 17u << 16 | 53},
		.to = {1, {{slu_addr_make(addr_of(endpoint)), 17u << 16 | 5353}}}};
}

/* At no moment is a packet judged as one endpoint and let through to another. */
static void closes_a_translation_before_it_is_judged_as_another(void **state)
{
	struct dp_model *want = node(), *have = node();

	ADD(want->services, want->n_services, service("198.51.100.9"));
	have->nft_differs = 1;
	expect(want, have, "service-set nft");
	want = node(), have = node();
	ADD(want->services, want->n_services, service("198.51.100.9"));
	ADD(have->services, have->n_services, service("198.51.100.8"));
	have->nft_differs = 1;
	expect(want, have, "nft-close service-set nft");
	want = node(), have = node();
	ADD(have->services, have->n_services, service("198.51.100.8"));
	have->nft_differs = 1;
	expect(want, have, "nft-close service-del nft");
}

static void attaches_new_pods_before_it_lets_old_ones_go(void **state)
{
	struct dp_model *want = node(), *have = node();

	pod_add(want, 12, 4, true); /* another policy */
	pod_add(want, 13, 4, true); /* new */
	pod_add(have, 12, 3, true);
	pod_add(have, 99, 3, true); /* gone */
	expect(want, have, "pod-attach pod-attach pod-close");
}

static void tells_macvlan_pods_of_one_parent_apart(void **state)
{
	struct dp_model *want = node(), *have = node();
	struct dp_pod p = {.a = {.macvlan = true, .ifindex = ETH}, .attached = true};

	p.a.pod.mac[5] = 1;
	ADD(want->pods, want->n_pods, p);
	ADD(have->pods, have->n_pods, p);
	p.a.pod.mac[5] = 2;
	ADD(want->pods, want->n_pods, p);
	dp_model_sort(want);
	expect(want, have, "pod-attach");
}

static void takes_all_away_pods_first(void **state)
{
	struct dp_model *want = dp_model_new(), *have = node();

	own(have);
	pod_add(have, 12, 3, true);
	expect(want, have,
	       "config inside-del epoch egress-state=3 nft-del pod-release link-del route-del "
	       "route-del "
	       "rule-del owned-del egress-free addr-del");
}

static void has_a_name_for_every_step(void **state)
{
	for (int op = 0; op < DP_OP_COUNT; op++)
		assert_string_not_equal(dp_op_name((enum dp_op)op), "unknown");
	assert_string_equal(dp_op_name(DP_OP_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_nothing_where_all_is_right),
		cmocka_unit_test(puts_the_guard_in_force_when_it_knows_the_addresses),
		cmocka_unit_test(builds_a_node_guards_first),
		cmocka_unit_test(adds_the_unreachable_route_before_the_default),
		cmocka_unit_test(claims_an_address_state_last),
		cmocka_unit_test(releases_an_address_state_first),
		cmocka_unit_test(takes_over_a_remote_address_state_last),
		cmocka_unit_test(stops_an_address_before_its_id_means_another),
		cmocka_unit_test(frees_an_id_after_everything_else),
		cmocka_unit_test(mends_what_somebody_removed),
		cmocka_unit_test(makes_the_device_anew_with_all_that_stood_on_it),
		cmocka_unit_test(replaces_a_route_that_leads_elsewhere),
		cmocka_unit_test(removes_what_is_not_wanted_adding_first),
		cmocka_unit_test(closes_a_translation_before_it_is_judged_as_another),
		cmocka_unit_test(attaches_new_pods_before_it_lets_old_ones_go),
		cmocka_unit_test(tells_macvlan_pods_of_one_parent_apart),
		cmocka_unit_test(takes_all_away_pods_first),
		cmocka_unit_test(has_a_name_for_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
