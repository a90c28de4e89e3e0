/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "bpf/abi.h"
#include "kernel/rtnl_priv.h"

struct link_seen {
	struct link_info info;
	uint32_t group;
	bool external; /* VXLAN that takes its tunnel from packet metadata */
	uint16_t port;
	bool has_addr_gen;
	uint8_t addr_gen;
};

static void parse_vxlan(struct nlattr *data, struct link_seen *seen)
{
	struct nlattr *tb[IFLA_VXLAN_MAX + 1];

	if (rtnl_attrs_nested(data, tb, IFLA_VXLAN_MAX) < 0)
		return;
	seen->external = rtnl_attr_u8(tb[IFLA_VXLAN_COLLECT_METADATA], 0) != 0;
	seen->port = ntohs(rtnl_attr_u16(tb[IFLA_VXLAN_PORT], 0));
}

static void parse_kind(struct nlattr *nest, struct link_seen *seen)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];

	if (rtnl_attrs_nested(nest, tb, IFLA_INFO_MAX) < 0 || !tb[IFLA_INFO_KIND])
		return;
	nla_strlcpy(seen->info.kind, tb[IFLA_INFO_KIND], sizeof(seen->info.kind));
	if (tb[IFLA_INFO_DATA] && strcmp(seen->info.kind, "vxlan") == 0)
		parse_vxlan(tb[IFLA_INFO_DATA], seen);
}

static uint32_t parse_xdp(struct nlattr *nest)
{
	static const int ids[] = {IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID,
				  IFLA_XDP_HW_PROG_ID};
	struct nlattr *tb[IFLA_XDP_MAX + 1];

	if (rtnl_attrs_nested(nest, tb, IFLA_XDP_MAX) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (tb[ids[i]])
			return rtnl_attr_u32(tb[ids[i]], 0);
	return 0;
}

static void parse_af_spec(struct nlattr *nest, struct link_seen *seen)
{
	struct nlattr *tb[AF_INET6 + 1], *six[IFLA_INET6_MAX + 1];

	if (rtnl_attrs_nested(nest, tb, AF_INET6) < 0 || !tb[AF_INET6] ||
	    rtnl_attrs_nested(tb[AF_INET6], six, IFLA_INET6_MAX) < 0 ||
	    !six[IFLA_INET6_ADDR_GEN_MODE])
		return;
	seen->has_addr_gen = true;
	seen->addr_gen = rtnl_attr_u8(six[IFLA_INET6_ADDR_GEN_MODE], 0);
}

static int parse_link(struct nlmsghdr *h, void *row, const void *arg)
{
	struct link_seen *seen = row;
	struct link_info *l = &seen->info;
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *ifi = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWLINK || rtnl_attrs(h, sizeof(*ifi), tb, IFLA_MAX) < 0 ||
	    !tb[IFLA_IFNAME])
		return -EBADMSG;
	l->ifindex = (uint32_t)ifi->ifi_index;
	l->flags = ifi->ifi_flags;
	nla_strlcpy(l->name, tb[IFLA_IFNAME], sizeof(l->name));
	l->peer_ifindex = rtnl_attr_u32(tb[IFLA_LINK], 0);
	l->has_netnsid = tb[IFLA_LINK_NETNSID] != NULL;
	l->netnsid = (int)rtnl_attr_u32(tb[IFLA_LINK_NETNSID], 0);
	l->master = rtnl_attr_u32(tb[IFLA_MASTER], 0);
	l->mtu = rtnl_attr_u32(tb[IFLA_MTU], 0);
	seen->group = rtnl_attr_u32(tb[IFLA_GROUP], 0);
	l->has_mac = tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof(l->mac);
	if (l->has_mac)
		memcpy(l->mac, nla_data(tb[IFLA_ADDRESS]), sizeof(l->mac));
	if (tb[IFLA_LINKINFO])
		parse_kind(tb[IFLA_LINKINFO], seen);
	if (tb[IFLA_XDP])
		l->xdp_prog = parse_xdp(tb[IFLA_XDP]);
	if (tb[IFLA_AF_SPEC])
		parse_af_spec(tb[IFLA_AF_SPEC], seen);
	return 1;
}

static struct nl_msg *get_msg(uint32_t ifindex)
{
	struct ifinfomsg ifi = {.ifi_index = (int)ifindex};
	struct nl_msg *m = rtnl_msg(RTM_GETLINK, 0, &ifi, sizeof(ifi));

	rtnl_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return m;
}

static int get_seen_name(struct rtnl *r, const char *name, struct link_seen *seen, struct err *e)
{
	struct nl_msg *m;
	int rc;

	if (!name[0] || strlen(name) >= IFNAMSIZ)
		return err_set(e, -ENODEV, "link '%s': not an interface name", name);
	m = get_msg(0);
	rtnl_put_str(m, IFLA_IFNAME, name);
	rc = rtnl_ask(r, m, parse_link, seen, e);
	if (rc < 0)
		err_wrap(e, "link %s", name);
	return rc;
}

int link_get(struct rtnl *r, uint32_t ifindex, struct link_info *ret, struct err *e)
{
	struct link_seen seen = {0};
	int rc;

	if (ifindex == 0) /* the kernel would look for a name */
		return err_set(e, -ENODEV, "link 0: no such device");
	rc = rtnl_ask(r, get_msg(ifindex), parse_link, &seen, e);
	if (rc < 0) {
		err_wrap(e, "link %u", ifindex);
		return rc;
	}
	*ret = seen.info;
	return 0;
}

int link_get_peer(struct rtnl *r, const struct link_info *host, struct link_info *ret,
		  struct err *e)
{
	struct link_seen seen = {0};
	struct nl_msg *m;
	int rc;

	if (!host->has_netnsid || !host->peer_ifindex)
		return err_set(e, -ENODEV, "link %s: no peer in another namespace", host->name);
	m = get_msg(host->peer_ifindex);
	rtnl_put_u32(m, IFLA_TARGET_NETNSID, (uint32_t)host->netnsid);
	rc = rtnl_ask(r, m, parse_link, &seen, e);
	if (rc < 0) {
		err_wrap(e, "the other end of %s", host->name);
		return rc;
	}
	*ret = seen.info;
	return 0;
}

int link_get_name(struct rtnl *r, const char *name, struct link_info *ret, struct err *e)
{
	struct link_seen seen = {0};
	int rc = get_seen_name(r, name, &seen, e);

	if (rc == 0)
		*ret = seen.info;
	return rc;
}

static int parse_link_info(struct nlmsghdr *h, void *row, const void *arg)
{
	struct link_seen seen = {0};
	int kept = parse_link(h, &seen, NULL);

	*(struct link_info *)row = seen.info;
	return kept;
}

int link_list(struct rtnl *r, struct link_info **ret, size_t *ret_n, struct err *e)
{
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct link_info)};
	int rc = rtnl_dump(r, get_msg(0), parse_link_info, NULL, &rows, e);

	if (rc < 0) {
		err_wrap(e, "list links");
		return rc;
	}
	*ret_n = rows.n;
	*ret = TAKE(rows.rows);
	return 0;
}

/* The generation mode cannot be given at creation: it needs the device's inet6 part. */
static int set_addr_gen_none(struct rtnl *r, uint32_t ifindex, struct err *e)
{
	struct ifinfomsg ifi = {.ifi_index = (int)ifindex};
	struct nl_msg *m = rtnl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *spec = rtnl_nest(m, IFLA_AF_SPEC);
	struct nlattr *six = rtnl_nest(m, AF_INET6);
	int rc;

	rtnl_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nla_nest_end(m, six);
	nla_nest_end(m, spec);
	rc = rtnl_change(r, m, e);
	return rc == -EAFNOSUPPORT ? 0 : rc; /* a kernel without IPv6 has nothing to turn off */
}

static struct nl_msg *vxlan_msg(const struct link_vxlan *l)
{
	struct ifinfomsg ifi = {.ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP};
	struct nl_msg *m = rtnl_msg(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info, *data;

	rtnl_put_str(m, IFLA_IFNAME, l->name);
	rtnl_put_u32(m, IFLA_MTU, l->mtu);
	rtnl_put_u32(m, IFLA_GROUP, SLU_DEVICE_GROUP);
	rtnl_put(m, IFLA_ADDRESS, l->mac, sizeof(l->mac));
	info = rtnl_nest(m, IFLA_LINKINFO);
	rtnl_put_str(m, IFLA_INFO_KIND, "vxlan");
	data = rtnl_nest(m, IFLA_INFO_DATA);
	rtnl_put_u8(m, IFLA_VXLAN_COLLECT_METADATA, 1);
	rtnl_put_u8(m, IFLA_VXLAN_LEARNING, 0);
	rtnl_put_u16(m, IFLA_VXLAN_PORT, htons(l->port));
	rtnl_put_u8(m, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 0);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return m;
}

/*
 * What arrives in a row is joined by the device it arrives at, which looks into the tunnel as well;
 * to try again behind the tunnel costs each packet a queue and a poll of its own (e2e/bench). It is
 * speed alone, so who wants it otherwise may turn it on, and what fails here fails nothing.
 */
static void gro_off(const char *name)
{
	struct ethtool_value off = {.cmd = ETHTOOL_SGRO};
	struct ifreq q = {.ifr_data = (void *)&off};
	__cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	if (fd >= 0)
		ioctl(fd, SIOCETHTOOL, &q);
}

int link_add_vxlan(struct rtnl *r, const struct link_vxlan *l, struct err *e)
{
	struct link_info made = {0};
	int rc = rtnl_change(r, vxlan_msg(l), e);

	if (rc < 0) {
		err_wrap(e, "add link %s", l->name);
		return rc;
	}
	rc = link_get_name(r, l->name, &made, e);
	if (rc < 0)
		return rc;
	rc = set_addr_gen_none(r, made.ifindex, e);
	if (rc < 0) {
		err_wrap(e, "add link %s: address generation", l->name);
		link_del(r, made.ifindex, NULL);
		return rc;
	}
	gro_off(l->name);
	return 0;
}

int link_vxlan_check(struct rtnl *r, const struct link_vxlan *l, struct link_info *ret,
		     struct err *e)
{
	struct link_seen seen = {0};
	int rc = get_seen_name(r, l->name, &seen, e);

	if (rc < 0)
		return rc;
	*ret = seen.info;
	return strcmp(seen.info.kind, "vxlan") == 0 && seen.external && seen.port == l->port &&
	       (!l->mtu || seen.info.mtu == l->mtu) && seen.group == SLU_DEVICE_GROUP &&
	       seen.info.has_mac && memcmp(seen.info.mac, l->mac, sizeof(l->mac)) == 0 &&
	       (seen.info.flags & IFF_NOARP) &&
	       (!seen.has_addr_gen || seen.addr_gen == IN6_ADDR_GEN_MODE_NONE);
}

int link_set(struct rtnl *r, uint32_t ifindex, bool up, uint32_t mtu, struct err *e)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)ifindex,
		.ifi_flags = up ? IFF_UP : 0,
		.ifi_change = IFF_UP,
	};
	struct nl_msg *m = rtnl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	int rc;

	if (mtu)
		rtnl_put_u32(m, IFLA_MTU, mtu);
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "set link %u", ifindex);
	return rc;
}

/* Not by /proc/sys, which container runtimes mount read-only. */
int link_set_rp_filter(struct rtnl *r, uint32_t ifindex, int value, struct err *e)
{
	struct ifinfomsg ifi = {.ifi_index = (int)ifindex};
	struct nl_msg *m = rtnl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *spec = rtnl_nest(m, IFLA_AF_SPEC);
	struct nlattr *four = rtnl_nest(m, AF_INET);
	struct nlattr *conf = rtnl_nest(m, IFLA_INET_CONF);
	int rc;

	rtnl_put_u32(m, IPV4_DEVCONF_RP_FILTER, (uint32_t)value);
	nla_nest_end(m, conf);
	nla_nest_end(m, four);
	nla_nest_end(m, spec);
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "set rp_filter of link %u", ifindex);
	return rc;
}

int link_del(struct rtnl *r, uint32_t ifindex, struct err *e)
{
	struct ifinfomsg ifi = {.ifi_index = (int)ifindex};
	int rc;

	if (ifindex == 0)
		return err_set(e, -ENODEV, "delete link 0: no such device");
	rc = rtnl_change(r, rtnl_msg(RTM_DELLINK, 0, &ifi, sizeof(ifi)), e);
	if (rc < 0)
		err_wrap(e, "delete link %u", ifindex);
	return rc;
}
