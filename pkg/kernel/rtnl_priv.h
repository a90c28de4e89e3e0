/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What link.c, ifaddr.c, rule.c, route.c, neigh.c and tc_clsact.c share: building
 * a request, and the three shapes of exchange: change (acknowledged), ask (one
 * answer), dump (many answers, repeated when torn). No nl_* type leaves kernel/.
 */
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "kernel/rtnl.h"

/* A request with its fixed header copied in; never NULL. flags are NLM_F_*. */
struct nl_msg *rtnl_msg(uint16_t type, uint16_t flags, const void *header, size_t len);
/* Attributes; running out of memory ends the process. */
void rtnl_put(struct nl_msg *m, int attr, const void *data, size_t len);
void rtnl_put_u8(struct nl_msg *m, int attr, uint8_t v);
void rtnl_put_u16(struct nl_msg *m, int attr, uint16_t v);
void rtnl_put_u32(struct nl_msg *m, int attr, uint32_t v);
void rtnl_put_str(struct nl_msg *m, int attr, const char *s);
void rtnl_put_addr(struct nl_msg *m, int attr, struct addr a); /* 4 or 16 bytes */
struct nlattr *rtnl_nest(struct nl_msg *m, int attr);

/* A 4 or 16 byte attribute; false when it is neither. */
bool rtnl_attr_addr(const struct nlattr *a, struct addr *ret);
/* An attribute that is missing, or shorter than what it should hold, is absent. */
uint8_t rtnl_attr_u8(const struct nlattr *a, uint8_t absent);
uint16_t rtnl_attr_u16(const struct nlattr *a, uint16_t absent);
uint32_t rtnl_attr_u32(const struct nlattr *a, uint32_t absent);
/* Attributes behind a fixed header into tb[0..max]; absent ones are NULL. 0 or -EINVAL. */
int rtnl_attrs(struct nlmsghdr *h, size_t header, struct nlattr **tb, int max);
int rtnl_attrs_nested(struct nlattr *nest, struct nlattr **tb, int max);

/*
 * One answer (or one of many) into *row. 1 = kept, 0 = not wanted, -errno = the
 * kernel said something that cannot be.
 */
typedef int (*rtnl_parse_fn)(struct nlmsghdr *h, void *row, const void *arg);

struct rtnl_rows { /* a growing array of rows of one size */
	void *rows;
	size_t n, row_size;
};

/* All three free m, and set e from errno and the kernel's own words. ask without an answer is
 * -ENOENT. */
int rtnl_change(struct rtnl *r, struct nl_msg *m, struct err *e);
int rtnl_ask(struct rtnl *r, struct nl_msg *m, rtnl_parse_fn parse, void *row, struct err *e);
int rtnl_dump(struct rtnl *r, struct nl_msg *m, rtnl_parse_fn parse, const void *arg,
	      struct rtnl_rows *rows, struct err *e);

void rtnl_rows_done(struct rtnl_rows *rows);
#define __cleanup_rows __cleanup(rtnl_rows_done)
