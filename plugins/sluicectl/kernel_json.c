/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_json.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/guard.h"
#include "bpf/maps.h"
#include "dataplane/model.h"
#include "kernel/rtnl.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

DEFINE_CLEANUP(struct rtnl *, rtnl_close);
DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

static struct json *error_json(const struct err *e)
{
	struct json *o = json_new_object();

	json_set(o, "error", json_new_string(e->msg));
	return o;
}

static struct json *link_json(const struct link_info *l)
{
	struct json *o = json_new_object();

	json_set(o, "ifindex", json_new_int(l->ifindex));
	json_set(o, "name", json_new_string(l->name));
	json_set(o, "kind", json_new_string(*l->kind ? l->kind : NULL));
	json_set(o, "up", json_new_bool(l->flags & IFF_UP));
	json_set(o, "carrier", json_new_bool(l->flags & IFF_RUNNING));
	json_set(o, "mtu", json_new_int(l->mtu));
	json_set(o, "master", json_new_int(l->master));
	json_set(o, "peer", json_new_int(l->peer_ifindex));
	json_set(o, "xdp", json_new_int(l->xdp_prog));
	return o;
}

static struct json *links_json(struct rtnl *r, uint32_t *ret_tunnel)
{
	__cleanup_free struct link_info *list = NULL;
	struct json *out = json_new_array();
	struct err e = {0};
	size_t n = 0;

	if (link_list(r, &list, &n, &e) < 0)
		json_append(out, error_json(&e));
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, DP_LINK) == 0)
			*ret_tunnel = list[i].ifindex;
		json_append(out, link_json(&list[i]));
	}
	return out;
}

static struct json *addrs_json(struct rtnl *r)
{
	__cleanup_free struct ifaddr *list = NULL;
	struct json *out = json_new_array();
	struct err e = {0};
	size_t n = 0;

	if (ifaddr_list(r, &list, &n, &e) < 0)
		json_append(out, error_json(&e));
	for (size_t i = 0; i < n; i++) {
		struct json *o = json_new_object();

		json_set(o, "ifindex", json_new_int(list[i].ifindex));
		json_set(o, "address", json_new_string(addr_str(list[i].addr)));
		json_set(o, "length", json_new_int(list[i].prefix_len));
		json_set(o, "ours", json_new_bool(list[i].ours));
		json_set(o, "tentative", json_new_bool(list[i].tentative));
		json_set(o, "dadFailed", json_new_bool(list[i].dad_failed));
		json_append(out, o);
	}
	return out;
}

static struct json *hex_json(uint32_t v)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%x", v);
	return json_new_string(text);
}

static struct json *rules_json(struct rtnl *r)
{
	__cleanup_free struct fib_rule *list = NULL;
	struct json *out = json_new_array();
	struct err e = {0};
	size_t n = 0;

	if (rule_list(r, &list, &n, &e) < 0)
		json_append(out, error_json(&e));
	for (size_t i = 0; i < n; i++) {
		struct json *o = json_new_object();

		json_set(o, "family", json_new_string(list[i].family == AF_INET ? "IPv4" : "IPv6"));
		json_set(o, "priority", json_new_int(list[i].priority));
		json_set(o, "mark", hex_json(list[i].mark));
		json_set(o, "mask", hex_json(list[i].mask));
		json_set(o, "table", json_new_int(list[i].table));
		json_append(out, o);
	}
	return out;
}

static struct json *route_json(const struct route *v)
{
	static const char *const types[] = {"unicast", "throw", "unreachable"};
	struct json *o = json_new_object();

	json_set(o, "to", json_new_string(cidr_str(v->dst)));
	json_set(o, "type", json_new_string(types[v->type]));
	json_set(o, "via", json_new_string(addr_is_zero(v->via) ? NULL : addr_str(v->via)));
	json_set(o, "ifindex", json_new_int(v->ifindex));
	json_set(o, "metric", json_new_int(v->metric));
	json_set(o, "mtu", json_new_int(v->mtu));
	return o;
}

static struct json *table_json(struct rtnl *r, uint32_t table)
{
	__cleanup_free struct route *list = NULL;
	struct json *o = json_new_object(), *routes = json_new_array();
	size_t n = 0, foreign = 0;
	struct err e = {0};

	if (route_list(r, table, &list, &n, &foreign, &e) < 0)
		json_append(routes, error_json(&e));
	for (size_t i = 0; i < n; i++)
		json_append(routes, route_json(&list[i]));
	json_set(o, "table", json_new_int(table));
	json_set(o, "routes", routes);
	json_set(o, "routesOfOthers", json_new_int((int64_t)foreign));
	return o;
}

static struct json *neighs_json(struct rtnl *r, uint32_t tunnel)
{
	__cleanup_free struct neigh *list = NULL;
	struct json *out = json_new_array();
	struct err e = {0};
	size_t n = 0;

	if (tunnel && neigh_list(r, tunnel, &list, &n, &e) < 0)
		json_append(out, error_json(&e));
	for (size_t i = 0; i < n; i++) {
		struct json *o = json_new_object();

		json_set(o, "address", json_new_string(addr_str(list[i].addr)));
		json_set(o, "permanent", json_new_bool(list[i].permanent));
		json_append(out, o);
	}
	return out;
}

/* One of our programs at one device. */
static struct json *program_json(struct bpf_pins *pins, uint32_t ifindex, enum tc_dir dir,
				 enum bpf_prog prog)
{
	struct json *o = json_new_object();
	struct tc_state st = {0};
	struct err e = {0};
	uint32_t id = 0;
	int r = bpf_prog_id(pins, prog, &id, &e);

	json_set(o, "ifindex", json_new_int(ifindex));
	json_set(o, "program", json_new_string(bpf_prog_name(prog)));
	if (r == 0)
		r = tc_query(ifindex, dir, id, bpf_prog_name(prog), &st, &e);
	if (r < 0) {
		json_set(o, "error", json_new_string(e.msg));
		return o;
	}
	json_set(o, "attached", json_new_bool(st.attached));
	json_set(o, "reached", json_new_bool(st.reached));
	json_set(o, "olderOneToo", json_new_bool(st.other_ours));
	json_set(o, "mode", json_new_string(st.mode == TC_MODE_TCX ? "tcx" : "clsact"));
	json_set(o, "id", json_new_int(id));
	return o;
}

static struct json *guard_json(struct bpf_pins *pins)
{
	static const char *const states[] = {[GUARD_IN_FORCE] = "in-force",
					     [GUARD_MISSING] = "missing",
					     [GUARD_UNSUPPORTED] = "unsupported"};
	struct json *o = json_new_object();
	enum guard_state state;
	struct err e = {0};

	json_set(o, "program", json_new_string("slu_exit"));
	if (bpf_guard_look(pins, &state, &e) < 0)
		json_set(o, "error", json_new_string(e.msg));
	else
		json_set(o, "state", json_new_string(states[state]));
	return o;
}

static struct json *programs_json(const struct daemon_conf *conf, uint32_t tunnel,
				  struct record *const *records, size_t n)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	struct json *out = json_new_array();
	struct err e = {0};

	if (bpf_pins_open(conf->bpffs, &pins, &e) < 0) {
		json_append(out, error_json(&e));
		return out;
	}
	json_append(out, guard_json(pins));
	if (tunnel) {
		json_append(out, program_json(pins, tunnel, TC_DIR_EGRESS, BPF_PROG_TO_TUNNEL));
		json_append(out, program_json(pins, tunnel, TC_DIR_INGRESS, BPF_PROG_FROM_TUNNEL));
	}
	for (size_t i = 0; i < n; i++) {
		struct json *o;

		if (records[i]->kind != ATTACH_VETH || !records[i]->ifindex)
			continue;
		o = program_json(pins, records[i]->ifindex, TC_DIR_INGRESS, BPF_PROG_FROM_POD);
		json_set(o, "namespace", json_new_string(records[i]->namespace));
		json_set(o, "pod", json_new_string(records[i]->pod));
		json_append(out, o);
	}
	return out;
}

static struct json *sysctls_json(void)
{
	static const char *const keys[] = {
		"net/ipv4/ip_forward",
		"net/ipv4/conf/all/rp_filter",
		"net/ipv4/conf/default/rp_filter",
		"net/ipv4/conf/" DP_LINK "/rp_filter",
		"net/ipv6/conf/all/forwarding",
		"net/ipv6/conf/all/disable_ipv6",
		"net/netfilter/nf_conntrack_count",
		"net/netfilter/nf_conntrack_max",
		"net/bridge/bridge-nf-call-iptables",
	};
	struct json *o = json_new_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct err e = {0};
		int v;

		json_set(o, keys[i],
			 sysctl_get(keys[i], &v, &e) == 0 ? json_new_int(v) : json_new_null());
	}
	return o;
}

struct json *kernel_json(const struct daemon_conf *conf, struct record *const *records, size_t n)
{
	__cleanup(rtnl_closep) struct rtnl *r = NULL;
	struct json *o = json_new_object(), *tables = json_new_array();
	struct err e = {0};
	uint32_t tunnel = 0;

	json_set(o, "sysctls", sysctls_json());
	if (rtnl_open(-1, &r, &e) < 0) {
		json_free(tables);
		json_set(o, "error", json_new_string(e.msg));
		return o;
	}
	json_set(o, "links", links_json(r, &tunnel));
	json_set(o, "addresses", addrs_json(r));
	json_set(o, "rules", rules_json(r));
	json_append(tables, table_json(r, DP_TABLE_DIVERT));
	json_append(tables, table_json(r, DP_TABLE_REPLY));
	json_set(o, "tables", tables);
	json_set(o, "neighbours", neighs_json(r, tunnel));
	json_set(o, "programs", programs_json(conf, tunnel, records, n));
	return o;
}
