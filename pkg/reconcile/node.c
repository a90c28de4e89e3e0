/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/node.h"

#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "dataplane/model.h"
#include "kernel/sysctl.h"

static int link_cmp(const void *a, const void *b)
{
	const struct link_info *x = a, *y = b;

	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

const struct link_info *node_link(const struct node_state *n, uint32_t ifindex)
{
	struct link_info key = {.ifindex = ifindex};

	if (n->n_links == 0)
		return NULL;
	return bsearch(&key, n->links, n->n_links, sizeof(key), link_cmp);
}

const struct link_info *node_link_name(const struct node_state *n, const char *name)
{
	for (size_t i = 0; i < n->n_links; i++)
		if (strcmp(n->links[i].name, name) == 0)
			return &n->links[i];
	return NULL;
}

const struct ifaddr *node_addr(const struct node_state *n, uint32_t ifindex, struct addr addr)
{
	for (size_t i = 0; i < n->n_addrs; i++)
		if (n->addrs[i].ifindex == ifindex && addr_eq(n->addrs[i].addr, addr))
			return &n->addrs[i];
	return NULL;
}

static struct cidr ifaddr_cidr(const struct ifaddr *a)
{
	struct cidr c = {.addr = a->addr,
			 .len = (uint8_t)(a->prefix_len + (addr_is_v4(a->addr) ? 96 : 0))};

	return c;
}

static int cidr_sort_cmp(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

static struct node_iface *iface_get(struct node_state *n, const char *name)
{
	for (size_t i = 0; i < n->n_ifaces; i++)
		if (strcmp(n->ifaces[i].name, name) == 0)
			return &n->ifaces[i];
	MEM_GROW(n->ifaces, n->n_ifaces);
	n->ifaces[n->n_ifaces] = (struct node_iface){.name = name};
	return &n->ifaces[n->n_ifaces++];
}

/* Order of arrival does not count: a pod's veth that comes and goes must not look like news. */
static int iface_cmp(const void *a, const void *b)
{
	return strcmp(((const struct node_iface *)a)->name, ((const struct node_iface *)b)->name);
}

/*
 * Host addresses (/32, /128) on veths are the pods' gateways that ptp and the like put
 * there, the same on each: they stand under one name, so that a pod more or less
 * changes nothing.
 */
#define PTP_NAME "veth*"

static void ifaces_build(struct node_state *n)
{
	for (size_t i = 0; i < n->n_addrs; i++) {
		const struct ifaddr *a = &n->addrs[i];
		const struct link_info *l = node_link(n, a->ifindex);
		struct cidr c = ifaddr_cidr(a);
		struct node_iface *f;
		bool ptp;

		if (!l || a->ours || a->tentative || a->dad_failed ||
		    strcmp(l->name, DP_LINK) == 0 ||
		    (l->flags & IFF_LOOPBACK && addr_is_loopback(a->addr)) ||
		    addr_is_link_local(a->addr))
			continue;
		ptp = strcmp(l->kind, "veth") == 0 && c.len == 128;
		f = iface_get(n, ptp ? PTP_NAME : l->name);
		MEM_GROW(f->addrs, f->n_addrs);
		f->addrs[f->n_addrs++] = c;
	}
	if (n->n_ifaces)
		qsort(n->ifaces, n->n_ifaces, sizeof(*n->ifaces), iface_cmp);
}

static void ptp_unique(struct node_iface *f)
{
	size_t kept = 0;

	qsort(f->addrs, f->n_addrs, sizeof(*f->addrs), cidr_sort_cmp);
	for (size_t i = 0; i < f->n_addrs; i++)
		if (kept == 0 || cidr_cmp(f->addrs[kept - 1], f->addrs[i]) != 0)
			f->addrs[kept++] = f->addrs[i];
	f->n_addrs = kept;
}

/* Field by field: a struct may hold padding. */
static uint64_t ifaces_digest(const struct node_state *n)
{
	uint64_t h = 0;

	for (size_t i = 0; i < n->n_ifaces; i++) {
		h = hash_str(n->ifaces[i].name, h);
		for (size_t k = 0; k < n->ifaces[i].n_addrs; k++) {
			h = hash_bytes(n->ifaces[i].addrs[k].addr.b, 16, h);
			h = hash_bytes(&n->ifaces[i].addrs[k].len, 1, h);
		}
	}
	return h;
}

static bool ipv6_enabled(void)
{
	int all = 0, new_ones = 0;

	if (sysctl_get("net/ipv6/conf/all/disable_ipv6", &all, NULL) < 0 ||
	    sysctl_get("net/ipv6/conf/default/disable_ipv6", &new_ones, NULL) < 0)
		return false;
	return !all && !new_ones;
}

int node_observe(struct rtnl *r, struct node_state **ret, struct err *e)
{
	__cleanup(node_freep) struct node_state *n = mem_alloc0(sizeof(*n));
	int rc;

	rc = link_list(r, &n->links, &n->n_links, e);
	if (rc == 0)
		rc = ifaddr_list(r, &n->addrs, &n->n_addrs, e);
	if (rc < 0)
		return rc;
	if (n->n_links)
		qsort(n->links, n->n_links, sizeof(*n->links), link_cmp);
	ifaces_build(n);
	for (size_t i = 0; i < n->n_ifaces; i++)
		if (strcmp(n->ifaces[i].name, PTP_NAME) == 0)
			ptp_unique(&n->ifaces[i]);
	n->digest = ifaces_digest(n);
	n->ipv6 = ipv6_enabled();
	*ret = TAKE(n);
	return 0;
}

void node_free(struct node_state *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_ifaces; i++)
		free(n->ifaces[i].addrs);
	free(n->ifaces);
	free(n->links);
	free(n->addrs);
	free(n);
}

/* ---- prefixes that nobody told ---- */

static void cidr_append(struct cidr **list, size_t *n, struct cidr c)
{
	MEM_GROW(*list, *n);
	(*list)[(*n)++] = c;
}

/*
 * The longest prefix of a bridge that holds addr, or the address itself: an uplink's
 * subnet may hold pods too (macvlan, cloud networks), but then it holds others as well.
 */
static struct cidr subnet_of(const struct node_state *n, struct addr addr)
{
	struct cidr best = cidr_host(addr);
	int best_len = -1;

	for (size_t i = 0; i < n->n_addrs; i++) {
		const struct link_info *l = node_link(n, n->addrs[i].ifindex);
		struct cidr c = ifaddr_cidr(&n->addrs[i]);

		c = cidr_make(c.addr, c.len);
		if (!l || strcmp(l->kind, "bridge") != 0 || n->addrs[i].ours || c.len == 128 ||
		    c.len <= best_len || !cidr_contains_addr(c, addr))
			continue;
		best = c;
		best_len = c.len;
	}
	return best;
}

void node_derive_cidrs(const struct node_state *n, struct record *const *records, size_t n_records,
		       struct cidr **ret, size_t *ret_n)
{
	struct cidr *list = NULL;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < n_records; i++)
		for (size_t k = 0; k < records[i]->n_addrs; k++)
			if (!addr_is_link_local(records[i]->addrs[k]))
				cidr_append(&list, &count, subnet_of(n, records[i]->addrs[k]));
	for (size_t i = 0; i < n->n_addrs; i++) {
		const struct link_info *l = node_link(n, n->addrs[i].ifindex);
		struct cidr c = ifaddr_cidr(&n->addrs[i]);

		if (l && strcmp(l->kind, "bridge") == 0 && c.len < 128 && !n->addrs[i].ours &&
		    !addr_is_link_local(c.addr))
			cidr_append(&list, &count, cidr_make(c.addr, c.len));
	}
	if (count)
		qsort(list, count, sizeof(*list), cidr_sort_cmp);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || cidr_cmp(list[kept - 1], list[i]) != 0)
			list[kept++] = list[i];
	*ret = list;
	*ret_n = kept;
}
