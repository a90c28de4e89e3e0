/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/ipv6_route.h>

#include "base/mem.h"
#include "kernel/rtnl_priv.h"

static const struct {
	enum route_type type;
	uint8_t rtn;
} types[] = {
	{ROUTE_UNICAST, RTN_UNICAST},
	{ROUTE_THROW, RTN_THROW},
	{ROUTE_UNREACHABLE, RTN_UNREACHABLE},
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

struct seen_route {
	struct route route;
	bool ours;
};

static uint32_t parse_mtu(struct nlattr *metrics)
{
	struct nlattr *tb[RTAX_MAX + 1];

	if (!metrics || rtnl_attrs_nested(metrics, tb, RTAX_MAX) < 0)
		return 0;
	return rtnl_attr_u32(tb[RTAX_MTU], 0);
}

static int parse_dst(const struct rtmsg *rtm, const struct nlattr *dst, struct cidr *ret)
{
	bool v4 = rtm->rtm_family == AF_INET;
	struct addr a;

	if (!rtnl_attr_addr(dst, &a)) {
		*ret = cidr_all(v4);
		return 0;
	}
	if (rtm->rtm_dst_len > (v4 ? 32 : 128) || nla_len(dst) != (v4 ? 4 : 16))
		return -EBADMSG;
	*ret = cidr_make(a, (uint8_t)(rtm->rtm_dst_len + (v4 ? 96 : 0)));
	return 0;
}

/* IPv6 turns "no metric" into IP6_RT_PRIO_USER; here both families say 0. */
static uint32_t metric_from_kernel(int family, uint32_t metric)
{
	return family == AF_INET6 && metric == IP6_RT_PRIO_USER ? 0 : metric;
}

static int parse_route(struct nlmsghdr *h, void *row, const void *arg)
{
	const uint32_t *table = arg;
	struct seen_route *seen = row;
	struct route *route = &seen->route;
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *rtm = nlmsg_data(h);
	bool known = false;

	if (h->nlmsg_type != RTM_NEWROUTE || rtnl_attrs(h, sizeof(*rtm), tb, RTA_MAX) < 0)
		return -EBADMSG;
	route->table = rtnl_attr_u32(tb[RTA_TABLE], rtm->rtm_table);
	if (route->table != *table || (rtm->rtm_flags & RTM_F_CLONED))
		return 0;
	for (size_t i = 0; i < N_TYPES; i++)
		if (types[i].rtn == rtm->rtm_type) {
			route->type = types[i].type;
			known = true;
		}
	seen->ours = known && rtm->rtm_protocol == SLU_RTPROT;
	if (parse_dst(rtm, tb[RTA_DST], &route->dst) < 0)
		return -EBADMSG;
	route->metric = metric_from_kernel(rtm->rtm_family, rtnl_attr_u32(tb[RTA_PRIORITY], 0));
	if (rtm->rtm_type == RTN_UNICAST) /* IPv6 reports lo for the other types */
		route->ifindex = rtnl_attr_u32(tb[RTA_OIF], 0);
	rtnl_attr_addr(tb[RTA_GATEWAY], &route->via);
	rtnl_attr_addr(tb[RTA_PREFSRC], &route->prefsrc);
	route->mtu = parse_mtu(tb[RTA_METRICS]);
	return 1;
}

static int dump_table(struct rtnl *r, uint8_t family, uint32_t table, struct rtnl_rows *rows,
		      struct err *e)
{
	struct rtmsg rtm = {.rtm_family = family};
	struct nl_msg *m = rtnl_msg(RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	int rc;

	rtnl_put_u32(m, RTA_TABLE, table);
	rc = rtnl_dump(r, m, parse_route, &table, rows, e);
	/* a table exists from its first route on */
	return rc == -ENOENT || rc == -EAFNOSUPPORT ? 0 : rc;
}

int route_list(struct rtnl *r, uint32_t table, struct route **ret, size_t *ret_n,
	       size_t *ret_foreign, struct err *e)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct seen_route)};
	const struct seen_route *seen;
	__cleanup_free struct route *routes = NULL;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(families); i++) {
		int rc = dump_table(r, families[i], table, &rows, e);

		if (rc < 0) {
			err_wrap(e, "list routes of table %u", table);
			return rc;
		}
	}
	seen = rows.rows;
	for (size_t i = 0; i < rows.n; i++) {
		if (!seen[i].ours)
			continue;
		MEM_GROW(routes, n);
		routes[n++] = seen[i].route;
	}
	*ret_foreign = rows.n - n;
	*ret_n = n;
	*ret = TAKE(routes);
	return 0;
}

static struct nl_msg *route_msg(uint16_t type, uint16_t flags, const struct route *route,
				uint8_t scope)
{
	bool v4 = cidr_is_v4(route->dst);
	struct rtmsg rtm = {
		.rtm_family = v4 ? AF_INET : AF_INET6,
		.rtm_dst_len = cidr_family_len(route->dst),
		.rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_COMPAT,
		.rtm_protocol = SLU_RTPROT,
		.rtm_scope = scope,
		.rtm_flags = addr_is_zero(route->via) ? 0 : RTNH_F_ONLINK,
	};
	struct nl_msg *m;

	for (size_t i = 0; i < N_TYPES; i++)
		if (types[i].type == route->type)
			rtm.rtm_type = types[i].rtn;
	m = rtnl_msg(type, flags, &rtm, sizeof(rtm));
	rtnl_put_u32(m, RTA_TABLE, route->table);
	if (rtm.rtm_dst_len)
		rtnl_put_addr(m, RTA_DST, route->dst.addr);
	/* never left to the kernel: IPv6 deletes the route of any metric when none is given */
	rtnl_put_u32(m, RTA_PRIORITY, !v4 && !route->metric ? IP6_RT_PRIO_USER : route->metric);
	if (route->ifindex)
		rtnl_put_u32(m, RTA_OIF, route->ifindex);
	if (!addr_is_zero(route->via))
		rtnl_put_addr(m, RTA_GATEWAY, route->via);
	return m;
}

int route_add(struct rtnl *r, const struct route *route, struct err *e)
{
	bool direct = route->type == ROUTE_UNICAST && addr_is_zero(route->via);
	struct nl_msg *m = route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route,
				     direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
	int rc;

	if (!addr_is_zero(route->prefsrc))
		rtnl_put_addr(m, RTA_PREFSRC, route->prefsrc);
	if (route->mtu) {
		struct nlattr *metrics = rtnl_nest(m, RTA_METRICS);

		rtnl_put_u32(m, RTAX_MTU, route->mtu);
		nla_nest_end(m, metrics);
	}
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "add route %s table %u", cidr_str(route->dst), route->table);
	return rc;
}

int route_del(struct rtnl *r, const struct route *route, struct err *e)
{
	int rc = rtnl_change(r, route_msg(RTM_DELROUTE, 0, route, RT_SCOPE_NOWHERE), e);

	if (rc == -ESRCH || rc == -ENODEV) /* the interface took it along */
		return 0;
	if (rc < 0)
		err_wrap(e, "delete route %s table %u", cidr_str(route->dst), route->table);
	return rc;
}

static int parse_answer(struct nlmsghdr *h, void *row, const void *arg)
{
	struct route_answer *a = row;
	struct nlattr *tb[RTA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWROUTE || rtnl_attrs(h, sizeof(struct rtmsg), tb, RTA_MAX) < 0)
		return -EBADMSG;
	a->ifindex = rtnl_attr_u32(tb[RTA_OIF], 0);
	rtnl_attr_addr(tb[RTA_PREFSRC], &a->src);
	rtnl_attr_addr(tb[RTA_GATEWAY], &a->gateway);
	a->mtu = parse_mtu(tb[RTA_METRICS]);
	return 1;
}

static struct nl_msg *ask_msg(struct addr dst)
{
	struct rtmsg rtm = {
		.rtm_family = (uint8_t)addr_family(dst),
		.rtm_dst_len = (uint8_t)(addr_len(dst) * 8),
	};
	struct nl_msg *m = rtnl_msg(RTM_GETROUTE, 0, &rtm, sizeof(rtm));

	rtnl_put_addr(m, RTA_DST, dst);
	return m;
}

static int ask(struct rtnl *r, struct addr dst, int attr, uint32_t value, struct route_answer *ret,
	       struct err *e)
{
	struct nl_msg *m = ask_msg(dst);
	struct route_answer answer = {0};
	struct link_info link;
	int rc;

	if (value)
		rtnl_put_u32(m, attr, value);
	rc = rtnl_ask(r, m, parse_answer, &answer, e);
	if (rc == 0 && answer.mtu == 0) {
		rc = link_get(r, answer.ifindex, &link, e);
		if (rc == 0)
			answer.mtu = link.mtu;
	}
	if (rc < 0) {
		err_wrap(e, "route to %s", addr_str(dst));
		return rc;
	}
	*ret = answer;
	return 0;
}

int route_get(struct rtnl *r, struct addr dst, uint32_t mark, struct route_answer *ret,
	      struct err *e)
{
	return ask(r, dst, RTA_MARK, mark, ret, e);
}

int route_get_by(struct rtnl *r, struct addr dst, uint32_t ifindex, struct route_answer *ret,
		 struct err *e)
{
	return ask(r, dst, RTA_OIF, ifindex, ret, e);
}

static int parse_type(struct nlmsghdr *h, void *row, const void *arg)
{
	const struct rtmsg *rtm = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_datalen(h) < (int)sizeof(*rtm))
		return -EBADMSG;
	*(uint8_t *)row = rtm->rtm_type;
	return 1;
}

bool ifaddr_taken_in(struct rtnl *r, struct addr a)
{
	uint8_t type = RTN_UNSPEC;

	return rtnl_ask(r, ask_msg(a), parse_type, &type, NULL) == 0 && type == RTN_LOCAL;
}
