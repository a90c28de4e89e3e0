/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/keep_priv.h"

void keep_free(struct keep *k)
{
	if (!k)
		return;
	free(k->live);
	free(k->kept);
	free(k);
}

static int live_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct live *)a)->addr, ((const struct live *)b)->addr);
}

struct live *keep_live_find(const struct keep *k, struct addr a)
{
	const struct live key = {.addr = a};

	return k->n_live ? bsearch(&key, k->live, k->n_live, sizeof(key), live_cmp) : NULL;
}

bool keep_has(const struct keep *k, struct addr a)
{
	const struct slu_addr local = slu_addr_make(a);
	size_t lo = 0, hi = k->n_kept;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(&k->kept[mid].flow.local, &local, sizeof(local));

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

bool keep_knows(const struct keep *k, const struct kept *e)
{
	const struct kept *have = kept_find(k->kept, k->n_kept, &e->flow);

	return have && have->id == e->id;
}

void keep_trouble(struct keep *k, const char *what, const struct err *e)
{
	if (!k->trouble)
		log_warn(what, "error=%s", log_quote(e->msg));
	k->trouble = true;
}

/* ---- whose addresses ---- */

static uint64_t owner_of(const struct record *rec)
{
	uint64_t h = hash_str(rec->container_id, (uint64_t)rec->added_at);

	return hash_bytes(&rec->ifindex, sizeof(rec->ifindex), hash_str(rec->ifname, h));
}

/* A macvlan's connections have no identity. */
bool keep_pod_counts(const struct pod *p)
{
	return !p->dead && p->rec->kind == ATTACH_VETH && p->rec->ifindex;
}

static struct live *live_collect(const struct reconcile *r, size_t *ret_n)
{
	struct live *list = NULL;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct record *rec = r->pods[i].rec;

		for (size_t k = 0; keep_pod_counts(&r->pods[i]) && k < rec->n_addrs; k++) {
			MEM_GROW(list, n);
			list[n++] = (struct live){
				.addr = rec->addrs[k], .owner = owner_of(rec), .pod = i};
		}
	}
	if (n)
		qsort(list, n, sizeof(*list), live_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept && addr_eq(list[kept - 1].addr, list[i].addr))
			list[kept - 1].shared = true;
		else
			list[kept++] = list[i];
	}
	*ret_n = kept;
	return list;
}

/* What a pod left behind is nobody's. */
static void gone_forget(struct keep *k, const struct addr *gone, size_t n)
{
	struct err e = {0};
	size_t done = 0;

	if (n == 0)
		return;
	if (conntrack_forget_sources(gone, n, &done, &e) < 0)
		keep_trouble(k, "connections of pods that are gone not forgotten", &e);
	else if (done)
		log_debug("connections of pods that are gone forgotten", "addresses=%zu count=%zu",
			  n, done);
}

/* The same before and after an edit: it changes nobody's identity, whatever it says of verdicts. */
static uint64_t identity_of(struct reconcile *r, const struct pod *p)
{
	struct binding none = {0};
	struct prog *prog = p->key ? prog_get(r, p->key) : NULL;
	const uint64_t as[] = {r->addr_digest, (uint64_t)p->flags << 32 | p->spread};
	uint64_t h = prog ? prog->identities : binding_identities(r->compiled, &none);

	if (prog && !h && prog->binding.n)
		h = prog->identities = binding_identities(r->compiled, &prog->binding);
	return h ? hash_bytes(as, sizeof(as), h) | 1 : 0;
}

/* What is not in the kernel is not what its pods are. */
static bool is_carried_out(struct reconcile *r, const struct pod *p)
{
	return !p->key || prog_get(r, p->key)->in_kernel;
}

void keep_done(struct reconcile *r)
{
	struct keep *k = r->keep;

	for (size_t i = 0; i < k->n_live; i++) {
		struct live *l = &k->live[i];

		l->identity = is_carried_out(r, &r->pods[l->pod]) ? l->identity_next : 0;
		l->key = l->key_next;
	}
	k->services = k->services_next;
}

void keep_live_refresh(struct keep *k, struct reconcile *r)
{
	__cleanup_free struct addr *gone = mem_alloc0(k->n_live * sizeof(*gone));
	struct live *old = k->live;
	size_t n_old = k->n_live, n_gone = 0;

	k->live = live_collect(r, &k->n_live);
	k->services_next = compiled_services_digest(r->compiled);
	for (size_t i = 0; i < n_old; i++) {
		struct live *now = keep_live_find(k, old[i].addr);

		if (!now) {
			gone[n_gone++] = old[i].addr;
			continue;
		}
		/* of another pod that had it, connections may still be there */
		now->stranger = old[i].stranger || now->owner != old[i].owner;
		if (now->owner != old[i].owner || now->shared)
			continue;
		now->watch_until = old[i].watch_until;
		now->identity = old[i].identity;
		now->rejects = old[i].rejects;
		now->gap = old[i].gap;
		now->key = old[i].key;
	}
	for (size_t i = 0; i < k->n_live; i++) {
		k->live[i].identity_next = identity_of(r, &r->pods[k->live[i].pod]);
		k->live[i].key_next = r->pods[k->live[i].pod].key;
	}
	free(old);
	gone_forget(k, gone, n_gone);
}

/* ---- the map ---- */

int keep_map_load(struct keep *k, const struct reconcile *r)
{
	__cleanup_free struct slu_flow *keys = NULL;
	__cleanup_free uint32_t *ids = NULL;
	struct err e = {0};
	size_t n = 0;
	int rc = bpf_map_dump(r->k.pins, BPF_MAP_KEPT, (void **)&keys, (void **)&ids, &n, &e);

	if (rc < 0) {
		keep_trouble(k, "kept connections not read", &e);
		return rc;
	}
	k->kept = mem_alloc0(n * sizeof(*k->kept));
	for (size_t i = 0; i < n; i++)
		k->kept[i] = (struct kept){keys[i], ids[i]};
	k->n_kept = n;
	if (n)
		qsort(k->kept, n, sizeof(*k->kept), kept_cmp);
	return 0;
}

void keep_map_prune(struct keep *k, const struct reconcile *r,
		    bool (*stays)(const struct kept *e, const void *data), const void *data)
{
	size_t left = 0;

	for (size_t i = 0; i < k->n_kept; i++)
		if (stays(&k->kept[i], data) ||
		    bpf_map_delete(r->k.pins, BPF_MAP_KEPT, &k->kept[i].flow, NULL) < 0)
			k->kept[left++] = k->kept[i];
	k->n_kept = left;
}

void keep_map_add(struct keep *k, const struct reconcile *r, const struct kept *list, size_t n)
{
	size_t had = k->n_kept, lost = 0;
	struct err e = {0};

	if (n == 0)
		return;
	/* not MEM_GROW: pruning leaves room that it would not know of */
	k->kept = mem_resize(k->kept, had + n, sizeof(*k->kept));
	for (size_t i = 0; i < n; i++) {
		struct kept *have = had ? bsearch(&list[i], k->kept, had, sizeof(*have), kept_cmp)
					: NULL;

		if (have && have->id == list[i].id)
			continue;
		if (bpf_map_set(r->k.pins, BPF_MAP_KEPT, &list[i].flow, &list[i].id, &e) < 0) {
			lost++;
			continue;
		}
		if (have)
			have->id = list[i].id;
		else
			k->kept[k->n_kept++] = list[i];
	}
	if (k->n_kept > had)
		qsort(k->kept, k->n_kept, sizeof(*k->kept), kept_cmp);
	if (lost)
		log_warn("open connections not kept", "count=%zu error=%s", lost, log_quote(e.msg));
}
