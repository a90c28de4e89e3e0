/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_addr.h>

#include "kernel/rtnl_priv.h"

#define IFA_PROTO_ATTR 11 /* IFA_PROTO, Linux 5.18: newer than some headers */
#define IFA_ATTR_MAX   IFA_PROTO_ATTR
#define FOREVER	       UINT32_MAX

static int parse_ifaddr(struct nlmsghdr *h, void *row, const void *arg)
{
	struct ifaddr *a = row;
	struct nlattr *tb[IFA_ATTR_MAX + 1];
	const struct ifaddrmsg *ifa = nlmsg_data(h);
	uint32_t flags;

	if (h->nlmsg_type != RTM_NEWADDR || rtnl_attrs(h, sizeof(*ifa), tb, IFA_ATTR_MAX) < 0)
		return -EBADMSG;
	/* IFA_ADDRESS is the far end of a point-to-point link, and the own one elsewhere */
	if (!rtnl_attr_addr(tb[IFA_LOCAL], &a->addr) && !rtnl_attr_addr(tb[IFA_ADDRESS], &a->addr))
		return 0;
	if (ifa->ifa_prefixlen > addr_len(a->addr) * 8)
		return -EBADMSG;
	flags = rtnl_attr_u32(tb[IFA_FLAGS], ifa->ifa_flags);
	a->ifindex = ifa->ifa_index;
	a->prefix_len = ifa->ifa_prefixlen;
	a->ours = rtnl_attr_u8(tb[IFA_PROTO_ATTR], 0) == SLU_IFAPROT;
	a->tentative = flags & IFA_F_TENTATIVE;
	a->dad_failed = flags & IFA_F_DADFAILED;
	return 1;
}

/* netnsid: of another namespace, -1 of the socket's own. */
static int list_of(struct rtnl *r, int netnsid, struct ifaddr **ret, size_t *ret_n, struct err *e)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct ifaddr)};

	for (size_t i = 0; i < sizeof(families); i++) {
		struct ifaddrmsg ifa = {.ifa_family = families[i]};
		struct nl_msg *m = rtnl_msg(RTM_GETADDR, 0, &ifa, sizeof(ifa));
		int rc;

		if (netnsid >= 0)
			rtnl_put_u32(m, IFA_TARGET_NETNSID, (uint32_t)netnsid);
		rc = rtnl_dump(r, m, parse_ifaddr, NULL, &rows, e);

		if (rc < 0) {
			err_wrap(e, "list addresses");
			return rc;
		}
	}
	*ret_n = rows.n;
	*ret = TAKE(rows.rows);
	return 0;
}

int ifaddr_list(struct rtnl *r, struct ifaddr **ret, size_t *ret_n, struct err *e)
{
	return list_of(r, -1, ret, ret_n, e);
}

int ifaddr_list_peer(struct rtnl *r, int netnsid, struct ifaddr **ret, size_t *ret_n, struct err *e)
{
	return list_of(r, netnsid, ret, ret_n, e);
}

static struct nl_msg *ifaddr_msg(uint16_t type, uint16_t flags, const struct ifaddr *a)
{
	struct ifaddrmsg ifa = {
		.ifa_family = (uint8_t)addr_family(a->addr),
		.ifa_prefixlen = a->prefix_len,
		.ifa_index = a->ifindex,
		/* link scope keeps the tunnel's own address from being taken as a source elsewhere
		 */
		.ifa_scope = addr_is_link_local(a->addr) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
	};
	struct nl_msg *m = rtnl_msg(type, flags, &ifa, sizeof(ifa));

	rtnl_put_addr(m, IFA_LOCAL, a->addr);
	rtnl_put_addr(m, IFA_ADDRESS, a->addr);
	return m;
}

int ifaddr_add(struct rtnl *r, const struct ifaddr *a, bool egress, struct err *e)
{
	struct nl_msg *m = ifaddr_msg(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, a);
	struct ifa_cacheinfo lifetime = {.ifa_prefered = 0, .ifa_valid = FOREVER};
	int rc;

	rtnl_put_u8(m, IFA_PROTO_ATTR, SLU_IFAPROT);
	if (!addr_is_v4(a->addr)) {
		rtnl_put_u32(m, IFA_FLAGS, IFA_F_NODAD);
		if (egress)
			rtnl_put(m, IFA_CACHEINFO, &lifetime, sizeof(lifetime));
	}
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "add address %s/%u to interface %u", addr_str(a->addr), a->prefix_len,
			 a->ifindex);
	return rc;
}

int ifaddr_del(struct rtnl *r, const struct ifaddr *a, struct err *e)
{
	int rc = rtnl_change(r, ifaddr_msg(RTM_DELADDR, 0, a), e);

	/* the interface gone, or without IPv6 at all: so is the address */
	if (rc == -EADDRNOTAVAIL || rc == -ENODEV || rc == -ENXIO)
		return 0;
	if (rc < 0)
		err_wrap(e, "delete address %s/%u from interface %u", addr_str(a->addr),
			 a->prefix_len, a->ifindex);
	return rc;
}
