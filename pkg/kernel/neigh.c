/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

#include "kernel/rtnl_priv.h"

static int parse_neigh(struct nlmsghdr *h, void *row, const void *arg)
{
	const uint32_t *ifindex = arg;
	struct neigh *n = row;
	struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *ndm = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWNEIGH || rtnl_attrs(h, sizeof(*ndm), tb, NDA_MAX) < 0)
		return -EBADMSG;
	/* NOARP: made by the kernel itself for multicast, not a neighbour anybody set */
	if ((uint32_t)ndm->ndm_ifindex != *ifindex || (ndm->ndm_state & NUD_NOARP) ||
	    !rtnl_attr_addr(tb[NDA_DST], &n->addr))
		return 0;
	n->ifindex = *ifindex;
	n->permanent = ndm->ndm_state & NUD_PERMANENT;
	if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == sizeof(n->mac))
		memcpy(n->mac, nla_data(tb[NDA_LLADDR]), sizeof(n->mac));
	return 1;
}

int neigh_list(struct rtnl *r, uint32_t ifindex, struct neigh **ret, size_t *ret_n, struct err *e)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct neigh)};

	for (size_t i = 0; i < sizeof(families); i++) {
		struct ndmsg ndm = {.ndm_family = families[i]};
		struct nl_msg *m = rtnl_msg(RTM_GETNEIGH, 0, &ndm, sizeof(ndm));
		int rc;

		rtnl_put_u32(m, NDA_IFINDEX, ifindex);
		rc = rtnl_dump(r, m, parse_neigh, &ifindex, &rows, e);
		if (rc < 0) {
			err_wrap(e, "list neighbours of interface %u", ifindex);
			return rc;
		}
	}
	*ret_n = rows.n;
	*ret = TAKE(rows.rows);
	return 0;
}

static struct nl_msg *neigh_msg(uint16_t type, uint16_t flags, const struct neigh *n)
{
	struct ndmsg ndm = {
		.ndm_family = (uint8_t)addr_family(n->addr),
		.ndm_ifindex = (int)n->ifindex,
		.ndm_state = NUD_PERMANENT,
	};
	struct nl_msg *m = rtnl_msg(type, flags, &ndm, sizeof(ndm));

	rtnl_put_addr(m, NDA_DST, n->addr);
	return m;
}

int neigh_set(struct rtnl *r, const struct neigh *n, struct err *e)
{
	struct nl_msg *m = neigh_msg(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, n);
	int rc;

	rtnl_put(m, NDA_LLADDR, n->mac, sizeof(n->mac));
	rtnl_put_u8(m, NDA_PROTOCOL, SLU_RTPROT);
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "set neighbour %s on interface %u", addr_str(n->addr), n->ifindex);
	return rc;
}

int neigh_del(struct rtnl *r, const struct neigh *n, struct err *e)
{
	int rc = rtnl_change(r, neigh_msg(RTM_DELNEIGH, 0, n), e);

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		err_wrap(e, "delete neighbour %s on interface %u", addr_str(n->addr), n->ifindex);
	return rc;
}
