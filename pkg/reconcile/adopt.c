/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that were running before Sluice came into the chain: the API knows them and their
 * addresses, and there is no record. The kernel tells, by the number that each veth has for the
 * namespace of its other end, which interface has that address; no path of a namespace is needed.
 * It then gets the record that an ADD would have left, and the pass does the rest.
 *
 * A pod whose ADD or DEL is under way is in the same state for a moment, so it is looked at only
 * after a while. Its DEL knows nothing of that record; it is collected when its interface is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernel/bypass.h"
#include "reconcile/priv.h"

#define LOOK_MS	 1000
#define ALONE_MS 5000
#define AGAIN_MS 60000

/* A veth whose other end is elsewhere, and the addresses that are there. */
struct candidate {
	const struct link_info *host;
	struct link_info pod;
	struct ifaddr *addrs;
	size_t n;
};

static bool has_record(const struct reconcile *r, const struct object *pod)
{
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct record *rec = r->pods[i].rec;

		if (!r->pods[i].dead && rec->pod && rec->namespace &&
		    strcmp(rec->pod, pod->name) == 0 && strcmp(rec->namespace, pod->namespace) == 0)
			return true;
	}
	return false;
}

static bool link_has_record(const struct reconcile *r, uint32_t ifindex)
{
	for (size_t i = 0; i < r->n_pods; i++)
		if (!r->pods[i].dead && r->pods[i].rec->ifindex == ifindex)
			return true;
	return false;
}

/* It is time to look for it. */
static bool is_due(const struct reconcile *r, struct object *pod, int64_t now)
{
	if (pod->host_network || !(pod->has_v4 || pod->has_v6) || pod->deleting || pod->gone ||
	    pod->more->fetched_at || has_record(r, pod)) {
		pod->alone_at = 0;
		pod->unadopted = false;
		return false;
	}
	if (!pod->alone_at)
		pod->alone_at = (uint32_t)now | 1;
	return (int32_t)((uint32_t)now - pod->alone_at) > (pod->unadopted ? AGAIN_MS : ALONE_MS);
}

/* ---- finding ---- */

static int candidate_look(struct reconcile *r, const struct link_info *host, struct candidate *c)
{
	struct ifaddr *all = NULL;
	size_t n = 0;
	int rc;

	*c = (struct candidate){.host = host};
	rc = link_get_peer(r->k.rtnl, host, &c->pod, NULL);
	if (rc == 0)
		rc = ifaddr_list_peer(r->k.rtnl, host->netnsid, &all, &n, NULL);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (all[i].ifindex != c->pod.ifindex || addr_is_link_local(all[i].addr))
			continue;
		MEM_GROW(c->addrs, c->n);
		c->addrs[c->n++] = all[i];
	}
	free(all);
	return rc;
}

static bool candidate_is(const struct candidate *c, const struct object *pod)
{
	struct addr ips[OBJECT_MAX_IPS];
	size_t n = object_ips(pod, ips);

	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < n; k++)
			if (addr_eq(c->addrs[i].addr, ips[k]))
				return true;
	return false;
}

static void candidates_done(struct candidate *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].addrs);
	free(list);
}

static struct candidate *candidates_find(struct reconcile *r, size_t *ret_n)
{
	struct candidate *list = NULL;
	size_t n = 0;

	for (size_t i = 0; i < r->node->n_links; i++) {
		const struct link_info *l = &r->node->links[i];
		struct candidate c;

		if (strcmp(l->kind, "veth") != 0 || !l->has_netnsid ||
		    link_has_record(r, l->ifindex))
			continue;
		if (candidate_look(r, l, &c) < 0) {
			free(c.addrs);
			continue;
		}
		MEM_GROW(list, n);
		list[n++] = c;
	}
	*ret_n = n;
	return list;
}

/* ---- adopting ---- */

static struct record *record_make(const struct object *pod, const struct candidate *c)
{
	struct record *rec = mem_alloc0(sizeof(*rec));

	rec->container_id = mem_printf("adopted-%s", object_uid(pod) ?: pod->name);
	rec->ifname = mem_strdup(c->pod.name);
	rec->network = mem_strdup("");
	rec->netns = mem_strdup("");
	rec->namespace = mem_strdup(pod->namespace);
	rec->pod = mem_strdup(pod->name);
	rec->uid = mem_strdup(object_uid(pod) ?: "");
	rec->boot_id = mem_strdup(journal_boot_id());
	rec->added_at = time(NULL);
	rec->kind = ATTACH_VETH;
	rec->ifindex = c->host->ifindex;
	memcpy(rec->host_ifname, c->host->name, sizeof(rec->host_ifname));
	memcpy(rec->mac, c->pod.mac, sizeof(rec->mac));
	for (size_t i = 0; i < c->n && rec->n_addrs < RECORD_MAX_ADDRS; i++) {
		rec->prefix_lens[rec->n_addrs] = c->addrs[i].prefix_len;
		rec->addrs[rec->n_addrs++] = c->addrs[i].addr;
	}
	return rec;
}

/* Why it cannot be governed: as an ADD would say. NULL: it can. */
static const char *obstacle(struct reconcile *r, const struct candidate *c)
{
	const char *who = NULL;

	if (!c)
		return "no veth of this node leads to an interface with its address";
	if (!c->pod.has_mac)
		return "its interface has no MAC";
	if (c->host->xdp_prog)
		return "an XDP program takes its packets first";
	if (bypass_find(r->k.rtnl, c->host, &who, NULL) > 0)
		return who;
	return NULL;
}

static bool pod_adopt(struct reconcile *r, struct object *pod, const struct candidate *c)
{
	const char *why = obstacle(r, c);
	struct record *rec = why ? NULL : record_make(pod, c);
	__cleanup_close int lock = -1;
	struct err e = {0};
	int rc = 0;

	if (rec)
		rc = journal_lock(r->journal, rec->container_id, rec->ifname, 0, &lock, &e);
	if (rec && rc == 0)
		rc = journal_store(r->journal, rec, &e);
	if (rc < 0)
		why = e.msg;
	if (!why)
		log_info("pod adopted", "pod=%s/%s host=%s", pod->namespace, pod->name,
			 rec->host_ifname);
	else if (!pod->unadopted)
		log_warn("pod not adopted: it goes ungoverned until it is restarted",
			 "pod=%s/%s reason=%s", pod->namespace, pod->name, log_quote(why));
	pod->unadopted = why != NULL;
	pod->alone_at = (uint32_t)clock_ms() | 1;
	record_free(rec);
	return !why;
}

bool pods_adopt(struct reconcile *r)
{
	struct objects *o = r->policies.objects;
	struct candidate *list = NULL;
	size_t n = 0, adopted = 0;
	int64_t now = clock_ms();
	bool looked = false;

	if (!o || now < r->adopt_at)
		return false;
	r->adopt_at = now + LOOK_MS;
	for (size_t i = 0; i < objects_count(o, OBJECTS_PODS); i++) {
		struct object *pod = objects_pod_at(o, i);
		const struct candidate *found = NULL;

		if (!is_due(r, pod, now))
			continue;
		if (!looked)
			list = candidates_find(r, &n);
		looked = true;
		for (size_t k = 0; !found && k < n; k++)
			if (candidate_is(&list[k], pod))
				found = &list[k];
		adopted += pod_adopt(r, pod, found);
	}
	candidates_done(list, n);
	if (adopted)
		r->records_mtime = 0;
	return adopted > 0;
}
