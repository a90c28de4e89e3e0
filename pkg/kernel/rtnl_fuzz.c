/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any answers of rtnetlink. The first byte chooses the question, the rest is what the
 * kernel says (testkit/fuzz_wire.h): a list or an error, and in a list nothing that
 * the rest of the program could not print, compare or use as an index.
 */
#include <assert.h>
#include <stdbool.h>
#include <unistd.h>

#include "kernel/bypass.h"
#include "kernel/fuzz_attrs.h"
#include "kernel/nsid.h"
#include "kernel/rtnl.h"
#include "kernel/tc_priv.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct link_vxlan tunnel = {"sluice0", 5347, 1450, {2, 0x53, 0x4c, 0x55, 0, 1}};
static const struct tc_prog prog = {.fd = 1, .id = 77, .name = "slu_from_pod"};

static void link_use(const struct link_info *l)
{
	assert(memchr(l->name, 0, sizeof(l->name)) && memchr(l->kind, 0, sizeof(l->kind)));
}

static void ask_links(struct rtnl *r)
{
	struct link_info *links = NULL, one;
	size_t n = 0;

	if (link_list(r, &links, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			link_use(&links[i]);
	free(links);
	if (link_get(r, 1, &one, NULL) == 0)
		link_use(&one);
	link_vxlan_check(r, &tunnel, &one, NULL);
}

static void ask_link(struct rtnl *r)
{
	struct link_info one;

	if (link_get_name(r, "eth0", &one, NULL) == 0)
		link_use(&one);
	link_vxlan_check(r, &tunnel, &one, NULL);
	link_add_vxlan(r, &tunnel, NULL);
}

static void ask_ifaddrs(struct rtnl *r)
{
	struct ifaddr *addrs = NULL;
	size_t n = 0;

	if (ifaddr_list(r, &addrs, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			assert(addrs[i].prefix_len <= addr_len(addrs[i].addr) * 8);
	free(addrs);
}

static void ask_rules(struct rtnl *r)
{
	struct fib_rule *rules = NULL;
	size_t n = 0;

	if (rule_list(r, &rules, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			rule_del(r, &rules[i], NULL);
	free(rules);
}

static void ask_routes(struct rtnl *r)
{
	struct route *routes = NULL;
	size_t n = 0, foreign = 0;

	if (route_list(r, 5347, &routes, &n, &foreign, NULL) == 0)
		for (size_t i = 0; i < n; i++) {
			struct cidr c = routes[i].dst;

			assert(c.len <= 128 && cidr_family_len(c) <= addr_len(c.addr) * 8);
			assert(cidr_cmp(c, cidr_make(c.addr, c.len)) == 0);
			cidr_str(c);
			route_del(r, &routes[i], NULL);
		}
	free(routes);
}

static void ask_route(struct rtnl *r)
{
	struct route_answer answer;
	struct addr dst;

	addr_parse("192.0.2.1", &dst);
	route_get(r, dst, 0, &answer, NULL);
}

static void ask_neighs(struct rtnl *r)
{
	struct neigh *neighs = NULL;
	size_t n = 0;

	if (neigh_list(r, 2, &neighs, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			neigh_del(r, &neighs[i], NULL);
	free(neighs);
}

static void ask_bypass(struct rtnl *r)
{
	const struct link_info host = {.ifindex = 1u << 30, .name = "veth0"};
	const char *who = NULL;

	if (bypass_find(r, &host, &who, NULL) == 1)
		assert(who && *who);
}

static void ask_filters(struct rtnl *r)
{
	struct tc_state state = {0};
	struct err e = {0};

	if (clsact_attach(2, TC_DIR_INGRESS, &prog, &e) < 0)
		assert(*e.msg);
	clsact_query(2, TC_DIR_EGRESS, &prog, &state, NULL);
	clsact_detach(2, TC_DIR_INGRESS, prog.name, NULL);
}

static void ask_nsid(struct rtnl *r)
{
	int id;

	nsid_get(-1, -1, &id, NULL);
}

static void hear_events(struct rtnl *r)
{
	int heard = rtnl_events_read(-1, NULL);

	assert(heard <= 2);
}

static void (*const questions[])(struct rtnl *r) = {
	ask_links,  ask_link,	ask_ifaddrs, ask_rules, ask_routes,  ask_route,
	ask_neighs, ask_bypass, ask_filters, ask_nsid,	hear_events,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rtnl *r = NULL;

	if (!size || rtnl_open(-1, &r, NULL) < 0)
		return 0;
	wire_feed(data + 1, size - 1, true);
	questions[*data % (sizeof(questions) / sizeof(questions[0]))](r);
	rtnl_close(r);
	return 0;
}
