/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/fib_rules.h>

#include "kernel/rtnl_priv.h"

static int parse_rule(struct nlmsghdr *h, void *row, const void *arg)
{
	struct fib_rule *f = row;
	struct nlattr *tb[FRA_MAX + 1];
	const struct fib_rule_hdr *frh = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWRULE || rtnl_attrs(h, sizeof(*frh), tb, FRA_MAX) < 0)
		return -EBADMSG;
	if (rtnl_attr_u8(tb[FRA_PROTOCOL], 0) != SLU_RTPROT)
		return 0;
	f->family = frh->family;
	f->priority = rtnl_attr_u32(tb[FRA_PRIORITY], 0);
	f->mark = rtnl_attr_u32(tb[FRA_FWMARK], 0);
	f->mask = rtnl_attr_u32(tb[FRA_FWMASK], 0);
	f->table = rtnl_attr_u32(tb[FRA_TABLE], frh->table);
	return 1;
}

int rule_list(struct rtnl *r, struct fib_rule **ret, size_t *ret_n, struct err *e)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct fib_rule)};

	for (size_t i = 0; i < sizeof(families); i++) {
		struct fib_rule_hdr frh = {.family = families[i]};
		int rc = rtnl_dump(r, rtnl_msg(RTM_GETRULE, 0, &frh, sizeof(frh)), parse_rule, NULL,
				   &rows, e);

		if (rc == -EAFNOSUPPORT) /* a kernel without IPv6 has no rules of it */
			continue;
		if (rc < 0) {
			err_wrap(e, "list rules");
			return rc;
		}
	}
	*ret_n = rows.n;
	*ret = TAKE(rows.rows);
	return 0;
}

static struct nl_msg *rule_msg(uint16_t type, uint16_t flags, const struct fib_rule *f)
{
	struct fib_rule_hdr frh = {
		.family = (uint8_t)f->family,
		.table = f->table < 256 ? (uint8_t)f->table : RT_TABLE_COMPAT,
		.action = FR_ACT_TO_TBL,
	};
	struct nl_msg *m = rtnl_msg(type, flags, &frh, sizeof(frh));

	rtnl_put_u32(m, FRA_PRIORITY, f->priority);
	rtnl_put_u32(m, FRA_FWMARK, f->mark);
	rtnl_put_u32(m, FRA_FWMASK, f->mask);
	rtnl_put_u32(m, FRA_TABLE, f->table);
	rtnl_put_u8(m, FRA_PROTOCOL, SLU_RTPROT);
	return m;
}

int rule_add(struct rtnl *r, const struct fib_rule *f, struct err *e)
{
	int rc = rtnl_change(r, rule_msg(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, f), e);

	if (rc < 0)
		err_wrap(e, "add rule %u fwmark %#x/%#x table %u", f->priority, f->mark, f->mask,
			 f->table);
	return rc;
}

int rule_del(struct rtnl *r, const struct fib_rule *f, struct err *e)
{
	int rc = rtnl_change(r, rule_msg(RTM_DELRULE, 0, f), e);

	if (rc == -ENOENT) /* the request names our protocol: what is left is not ours */
		return 0;
	if (rc < 0)
		err_wrap(e, "delete rule %u fwmark %#x/%#x table %u", f->priority, f->mark, f->mask,
			 f->table);
	return rc;
}
