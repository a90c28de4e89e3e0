/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "reconcile/desired.h"
#include "testkit/policy_fixture.h"

static const char cluster[] =
	"kind: SluiceConfig\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: default}\n"
	"spec: {clusterCIDRs: [10.96.0.0/16, \"fd00:244::/32\"], dns: {resolvers: [192.0.2.53, "
	"10.96.0.10]}}\n"
	"---\n"
	"kind: Node\napiVersion: v1\nmetadata: {name: n1, labels: {n: n1}}\n"
	"status: {addresses: [{type: InternalIP, address: 192.0.2.1}, "
	"{type: InternalIP, address: \"2001:db8::1\"}]}\n"
	"---\n"
	"kind: Node\napiVersion: v1\nmetadata: {name: n2, labels: {n: n2}}\n"
	"status: {addresses: [{type: InternalIP, address: 192.0.2.2}, "
	"{type: ExternalIP, address: 203.0.113.2}]}\n"
	"---\n"
	"kind: EgressGateway\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: here}\n"
	"spec: {addresses: [{range: 192.0.2.50}], nodeSelector: {matchLabels: {n: n1}}, "
	"allowedNamespaces: {}}\n"
	"---\n"
	"kind: EgressGateway\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: there}\n"
	"spec: {addresses: [{range: 192.0.2.60}], nodeSelector: {matchLabels: {n: n2}}, "
	"allowedNamespaces: {}}\n"
	"---\n"
	"kind: EgressPolicy\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: p, namespace: "
	"default}\n"
	"spec:\n"
	"  subject: {podSelector: {}}\n"
	"  rules:\n"
	"  - {name: a, to: [{cidr: 198.51.100.0/24}], via: {gateway: here}}\n"
	"  - {name: b, via: {gateway: there}}\n";

struct world {
	struct policy_fixture f;
	struct node_state node;
	struct link_info link;
	struct ids *ids;
	struct place places[64];
	uint32_t path_mtu;
	struct desired *d;
};

static struct world w;

static void build(const char *yaml, bool held)
{
	struct desired_in in;

	policy_fixture_init(&w.f, yaml, "n1", "eth0 192.0.2.1/24 2001:db8::1/64");
	w.link = (struct link_info){.ifindex = 7, .name = "eth0"};
	w.node.links = &w.link;
	w.node.n_links = 1;
	w.node.ipv6 = true;
	w.ids = w.ids ? w.ids : ids_new();
	for (size_t i = 0; i < 64; i++)
		w.places[i] = (struct place){.held = held};
	in = (struct desired_in){.compiled = w.f.c,
				 .node = &w.node,
				 .node_name = "n1",
				 .ids = w.ids,
				 .path_mtu = w.path_mtu,
				 .places = w.places};
	desired_build(&in, &w.d);
}

static int done(void **state)
{
	desired_free(w.d);
	ids_free(w.ids);
	policy_fixture_done(&w.f);
	w = (struct world){0};
	return 0;
}

static const struct slu_egress *egress(const char *addr)
{
	struct slu_addr a = slu_addr_make(addr_of(addr));

	for (uint32_t i = SLU_ID_FIRST; i < SLU_ID_MAX; i++)
		if (memcmp(&w.d->model->egress[i].addr, &a, sizeof(a)) == 0 &&
		    w.d->model->egress[i].state != SLU_ADDR_FREE)
			return &w.d->model->egress[i];
	fail_msg("%s has no id", addr);
	return NULL;
}

static size_t routes(uint32_t table, enum route_type type, bool v4)
{
	size_t n = 0;

	for (size_t i = 0; i < w.d->model->n_routes; i++) {
		const struct route *r = &w.d->model->routes[i];

		n += r->table == table && r->type == type && cidr_is_v4(r->dst) == v4;
	}
	return n;
}

static const struct route *default_route(bool v4)
{
	for (size_t i = 0; i < w.d->model->n_routes; i++) {
		const struct route *r = &w.d->model->routes[i];

		if (r->table == DP_TABLE_DIVERT && r->type == ROUTE_UNICAST &&
		    cidr_cmp(r->dst, cidr_all(v4)) == 0)
			return r;
	}
	fail_msg("there is no default route");
	return NULL;
}

static uint32_t inside(const char *prefix)
{
	struct cidr c = cidr_of(prefix);
	struct slu_lpm_key key = slu_lpm_key_make(cidr_make(c.addr, c.len));

	for (size_t i = 0; i < w.d->model->n_inside; i++)
		if (memcmp(&w.d->model->inside[i].key, &key, sizeof(key)) == 0)
			return w.d->model->inside[i].flags;
	return 0;
}

static void puts_an_own_address_on_its_interface(void **state)
{
	const struct dp_model *m;

	build(cluster, true);
	m = w.d->model;
	assert_int_equal(egress("192.0.2.50")->state, SLU_ADDR_LOCAL);
	assert_int_equal(egress("192.0.2.60")->state, SLU_ADDR_REMOTE);
	assert_int_equal(m->n_owned, 1);
	assert_int_equal(m->nft_model.n_addresses, 1);
	assert_true(m->nft_addresses[0].guard);
	assert_int_equal(m->addrs[m->n_addrs - 1].ifindex, 7);
	assert_int_equal(m->addrs[m->n_addrs - 1].prefix_len, 32);
}

static void gives_an_address_that_is_not_held_no_owner(void **state)
{
	build(cluster, false);
	assert_int_equal(egress("192.0.2.50")->state, SLU_ADDR_NO_OWNER);
	assert_int_equal(w.d->model->n_owned, 0);
	assert_int_equal(w.d->model->nft_model.n_addresses, 0);
	for (size_t i = 0; i < w.d->model->n_addrs; i++)
		assert_int_equal(w.d->model->addrs[i].ifindex, DP_TUNNEL);
}

static void knows_the_other_nodes_and_not_itself(void **state)
{
	struct slu_addr peer = slu_addr_make(addr_of("192.0.2.2"));
	const struct dp_model *m;

	build(cluster, true);
	m = w.d->model;
	assert_int_equal(m->n_senders, 1);
	assert_memory_equal(&m->senders[0].addr, &peer, sizeof(peer));
	assert_memory_equal(&m->nodes[m->senders[0].node].v4, &peer, sizeof(peer));
	assert_int_equal(m->nft_model.n_nodes, 1);
	/* ends of tunnels: both nodes, the other's ExternalIP, both addresses */
	assert_int_equal(m->nft_model.n_tunnel_ends, 6);
	assert_string_equal(addr_str(slu_addr_get(m->config.self_v4)), "192.0.2.1");
	assert_string_equal(addr_str(slu_addr_get(m->config.self_v6)), "2001:db8::1");
}

/* An ungoverned pod here could write to them, and would be taken for this node. */
static void knows_ends_of_tunnels_that_no_pod_here_uses(void **state)
{
	char *yaml = strdup(cluster);

	*strstr(yaml, "---\nkind: EgressPolicy") = '\0';
	build(yaml, true);
	free(yaml);
	assert_int_equal(w.d->model->nft_model.n_tunnel_ends, 6);
}

static void lays_out_the_mark_by_its_mask(void **state)
{
	const struct slu_config *c;

	build(cluster, true);
	c = &w.d->model->config;
	assert_int_equal(c->mark_mask, SLU_MARK_MASK_DEFAULT);
	assert_int_equal(c->mark_shift, 21);
	assert_int_equal(c->divert, 0x80000000);
	assert_int_equal(w.d->model->n_rules, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct fib_rule *r = &w.d->model->rules[i];

		if (r->priority == DP_RULE_DIVERT)
			assert_int_equal(r->mask, c->divert);
		else
			assert_int_equal(r->mark, 14u << 21);
	}
}

static void says_of_each_prefix_what_its_parents_say(void **state)
{
	build(cluster, true);
	assert_int_equal(inside("10.96.0.0/16"), SLU_INSIDE_ALL | SLU_INSIDE_POD);
	assert_int_equal(inside("192.0.2.2/32"), SLU_INSIDE_ALL | SLU_INSIDE_TAKEN);
	assert_int_equal(inside("192.0.2.53/32"), SLU_INSIDE_DNS);
	/* outside, but who listens there are the nodes, too: no ends of the main CNI's tunnels */
	assert_int_equal(inside("192.0.2.255/32"), SLU_INSIDE_SHARED);
	assert_int_equal(inside("2001:db8::/128"), SLU_INSIDE_SHARED);
	assert_int_equal(inside("203.0.113.2/32"), SLU_INSIDE_NODE | SLU_INSIDE_TAKEN);
	assert_int_equal(inside("10.96.0.10/32"), SLU_INSIDE_ALL | SLU_INSIDE_POD | SLU_INSIDE_DNS);
}

static void knows_what_no_pod_may_have(void **state)
{
	build(cluster, true);
	assert_int_equal(inside("192.0.2.50/32"), SLU_INSIDE_TAKEN); /* outside, as before */
	assert_int_equal(inside("192.0.2.60/32"), SLU_INSIDE_TAKEN);
	assert_int_equal(inside("192.0.2.1/32"), SLU_INSIDE_ALL | SLU_INSIDE_TAKEN);
	assert_int_equal(inside("2001:db8::1/128"), SLU_INSIDE_ALL | SLU_INSIDE_TAKEN);
}

static void throws_each_inside_prefix_once(void **state)
{
	build(cluster, true);
	/* v4: two cluster prefixes, two nodes; v6: one prefix, one node */
	assert_int_equal(routes(DP_TABLE_DIVERT, ROUTE_THROW, true), 4);
	assert_int_equal(routes(DP_TABLE_DIVERT, ROUTE_THROW, false), 2);
	assert_int_equal(routes(DP_TABLE_DIVERT, ROUTE_UNREACHABLE, true), 1);
	assert_int_equal(routes(DP_TABLE_DIVERT, ROUTE_UNREACHABLE, false), 1);
	assert_int_equal(routes(DP_TABLE_REPLY, ROUTE_UNICAST, true), 2);
	assert_int_equal(routes(DP_TABLE_REPLY, ROUTE_UNICAST, false), 1);
	assert_int_equal(w.d->model->nft_model.n_inside, 6);
}

static void leaves_ipv6_out_where_the_kernel_has_none(void **state)
{
	build(cluster, true);
	desired_free(w.d);
	w.node.ipv6 = false;
	desired_build(&(struct desired_in){.compiled = w.f.c,
					   .node = &w.node,
					   .node_name = "n1",
					   .ids = w.ids,
					   .places = w.places},
		      &w.d);
	assert_int_equal(w.d->model->n_rules, 2);
	assert_int_equal(w.d->model->n_neighs, 1);
	assert_int_equal(routes(DP_TABLE_DIVERT, ROUTE_UNICAST, false), 0);
}

static void takes_the_mtu_from_the_path(void **state)
{
	static const struct {
		uint32_t path, link, v6;
	} rows[] = {
		{0, 1450, 1430},    {1500, 1450, 1430}, {9000, 8950, 8930},
		{1400, 1350, 1330}, {1340, 1290, 1280}, {1000, 1280, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.path_mtu = rows[i].path;
		build(cluster, true);
		assert_int_equal(w.d->model->link.mtu, rows[i].link);
		assert_int_equal(default_route(false)->mtu, rows[i].v6);
		assert_int_equal(default_route(true)->mtu, 0);
		done(NULL);
	}
}

static void keeps_ids_from_one_build_to_the_next(void **state)
{
	const char *without = strstr(cluster, "kind: Node");
	struct ids *ids;
	ptrdiff_t id;

	build(cluster, true);
	id = egress("192.0.2.60") - w.d->model->egress;
	ids = w.ids;
	w.ids = NULL;
	done(NULL);
	w.ids = ids;
	ids_begin(ids);
	build(without, true);
	ids_sweep(ids);
	assert_int_equal(egress("192.0.2.60") - w.d->model->egress, id);
}

static void names_addresses_by_id_in_identities(void **state)
{
	build(cluster, true);
	for (size_t i = 1; i < w.d->n_identities; i++) {
		const struct dp_identity *d = &w.d->identities[i];

		if (d->n[0] == 0)
			continue;
		assert_int_equal(d->n[0], 1);
		assert_int_not_equal(w.d->model->egress[d->picks[0][0]].state, SLU_ADDR_FREE);
		assert_int_equal(d->none[1], SLU_DROP_FAMILY);
	}
	assert_int_equal(w.d->identities[0].n[0], 0);
}

#define TEST(f) cmocka_unit_test_teardown(f, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(puts_an_own_address_on_its_interface),
		TEST(gives_an_address_that_is_not_held_no_owner),
		TEST(knows_the_other_nodes_and_not_itself),
		TEST(knows_ends_of_tunnels_that_no_pod_here_uses),
		TEST(lays_out_the_mark_by_its_mask),
		TEST(says_of_each_prefix_what_its_parents_say),
		TEST(knows_what_no_pod_may_have),
		TEST(throws_each_inside_prefix_once),
		TEST(leaves_ipv6_out_where_the_kernel_has_none),
		cmocka_unit_test(takes_the_mtu_from_the_path),
		TEST(keeps_ids_from_one_build_to_the_next),
		TEST(names_addresses_by_id_in_identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
