/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and attributes for rtnl.c's neighbours: building cannot fail, reading is checked. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/rtnl_priv.h"

#define MESSAGE_MAX 4096

struct nl_msg *rtnl_msg(uint16_t type, uint16_t flags, const void *header, size_t len)
{
	struct nl_msg *m = nlmsg_alloc_size(MESSAGE_MAX);

	if (!m || !nlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, NLM_F_REQUEST | flags) ||
	    nlmsg_append(m, (void *)(uintptr_t)header, len, NLMSG_ALIGNTO) < 0)
		oom();
	return m;
}

void rtnl_put(struct nl_msg *m, int attr, const void *data, size_t len)
{
	if (nla_put(m, attr, (int)len, data) < 0)
		oom();
}

void rtnl_put_u8(struct nl_msg *m, int attr, uint8_t v)
{
	rtnl_put(m, attr, &v, sizeof(v));
}

void rtnl_put_u16(struct nl_msg *m, int attr, uint16_t v)
{
	rtnl_put(m, attr, &v, sizeof(v));
}

void rtnl_put_u32(struct nl_msg *m, int attr, uint32_t v)
{
	rtnl_put(m, attr, &v, sizeof(v));
}

void rtnl_put_str(struct nl_msg *m, int attr, const char *s)
{
	rtnl_put(m, attr, s, strlen(s) + 1);
}

void rtnl_put_addr(struct nl_msg *m, int attr, struct addr a)
{
	rtnl_put(m, attr, addr_bytes(&a), addr_len(a));
}

struct nlattr *rtnl_nest(struct nl_msg *m, int attr)
{
	struct nlattr *nest = nla_nest_start(m, attr);

	if (!nest)
		oom();
	return nest;
}

bool rtnl_attr_addr(const struct nlattr *a, struct addr *ret)
{
	if (!a)
		return false;
	if (nla_len(a) == 4)
		*ret = addr_from_v4(nla_data(a));
	else if (nla_len(a) == 16)
		*ret = addr_from_v6(nla_data(a));
	else
		return false;
	return true;
}

static bool attr_read(const struct nlattr *a, void *to, size_t len)
{
	if (!a || nla_len(a) < (int)len)
		return false;
	memcpy(to, nla_data(a), len);
	return true;
}

uint8_t rtnl_attr_u8(const struct nlattr *a, uint8_t absent)
{
	uint8_t v;

	return attr_read(a, &v, sizeof(v)) ? v : absent;
}

uint16_t rtnl_attr_u16(const struct nlattr *a, uint16_t absent)
{
	uint16_t v;

	return attr_read(a, &v, sizeof(v)) ? v : absent;
}

uint32_t rtnl_attr_u32(const struct nlattr *a, uint32_t absent)
{
	uint32_t v;

	return attr_read(a, &v, sizeof(v)) ? v : absent;
}

int rtnl_attrs(struct nlmsghdr *h, size_t header, struct nlattr **tb, int max)
{
	if (nlmsg_parse(h, (int)header, tb, max, NULL) < 0)
		return -EINVAL;
	return 0;
}

int rtnl_attrs_nested(struct nlattr *nest, struct nlattr **tb, int max)
{
	return nla_parse_nested(tb, max, nest, NULL) < 0 ? -EINVAL : 0;
}

void rtnl_rows_done(struct rtnl_rows *rows)
{
	free(rows->rows);
}
