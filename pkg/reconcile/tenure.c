/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/tenure.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int tenure_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct tenure *)a)->addr, ((const struct tenure *)b)->addr);
}

static struct tenure *find(const struct tenures *t, struct addr a)
{
	const struct tenure key = {.addr = a};

	return t->n ? bsearch(&key, t->list, t->n, sizeof(key), tenure_cmp) : NULL;
}

const struct tenure *tenures_find(const struct tenures *t, struct addr a)
{
	return find(t, a);
}

static bool same_name(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Another owner: nobody carries it as far as is known, until a pass has seen that. */
static void owner_change(struct tenure *k, const struct egress_addr *a, const struct tenures_in *in)
{
	free(k->from);
	k->from = k->owner;
	k->owner = mem_strdup(a->owner);
	k->since_ms = in->wall_ms;
	k->carried = false;
	k->lost_at = k->from ? in->lost(in->data, k->from) : -1;
	k->by = !k->from ? TENURE_ASSIGNED : k->lost_at < 0 ? TENURE_MOVED : TENURE_FAILOVER;
}

static struct tenure take(struct tenures *t, const struct egress_addr *a,
			  const struct tenures_in *in)
{
	struct tenure *old = find(t, a->addr), k = {.addr = a->addr, .lost_at = -1};

	if (old) {
		k = *old;
		old->owner = old->from = NULL;
		if (!same_name(k.owner, a->owner))
			owner_change(&k, a, in);
		return k;
	}
	k.owner = mem_strdup(a->owner);
	k.since_ms = in->wall_ms;
	k.by = t->serial ? TENURE_ASSIGNED : TENURE_FOUND;
	return k;
}

static void list_free(struct tenure *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].owner);
		free(list[i].from);
	}
	free(list);
}

static void list_update(struct tenures *t, const struct tenures_in *in)
{
	struct tenure *list = mem_alloc0((in->n + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++)
		if (in->addrs[i].home)
			list[n++] = take(t, &in->addrs[i], in);
	if (n)
		qsort(list, n, sizeof(*list), tenure_cmp);
	list_free(t->list, t->n);
	t->list = list;
	t->n = n;
	t->serial = in->serial;
}

/* ---- what this node takes over ---- */

static struct takeover *last_get(struct tenures *t, const char *gateway)
{
	for (size_t i = 0; i < t->n_last; i++)
		if (strcmp(t->last[i].gateway, gateway) == 0)
			return &t->last[i];
	MEM_GROW(t->last, t->n_last);
	t->last[t->n_last] = (struct takeover){.gateway = mem_strdup(gateway)};
	return &t->last[t->n_last++];
}

static void takeover_note(struct tenures *t, const struct tenure *k, const struct egress_addr *a,
			  int64_t alive_at, const struct tenures_in *in)
{
	struct takeover *last = last_get(t, a->gateway);
	bool more = last->n && last->at_ms == in->wall_ms && same_name(last->from, k->from);

	t->failovers++;
	last->n = more ? last->n + 1 : 1;
	last->addr = a->addr;
	last->at_ms = in->wall_ms;
	last->gap_ms = in->now - alive_at;
	if (!more) {
		free(last->from);
		last->from = mem_strdup(k->from);
	}
}

static void carried_note(struct tenures *t, const struct egress_addr *a,
			 const struct tenures_in *in)
{
	struct tenure *k = find(t, a->addr);
	int64_t answered = -1;
	bool carried;

	if (!k || !a->owner)
		return;
	carried = in->carried(in->data, a, &answered);
	if (carried && !k->carried) {
		k->since_ms = in->wall_ms;
		if (k->by == TENURE_FAILOVER)
			takeover_note(t, k, a, answered > k->lost_at ? answered : k->lost_at, in);
		else
			t->moves += k->by == TENURE_MOVED;
	}
	k->carried = carried;
}

void tenures_update(struct tenures *t, const struct tenures_in *in)
{
	if (t->serial != in->serial)
		list_update(t, in);
	for (size_t i = 0; i < in->n; i++)
		if (in->addrs[i].local && in->addrs[i].home)
			carried_note(t, &in->addrs[i], in);
}

void tenures_done(struct tenures *t)
{
	list_free(t->list, t->n);
	for (size_t i = 0; i < t->n_last; i++) {
		free(t->last[i].gateway);
		free(t->last[i].from);
	}
	free(t->last);
	*t = (struct tenures){0};
}

const struct takeover *tenures_last(const struct tenures *t, const char *gateway)
{
	for (size_t i = 0; i < t->n_last; i++)
		if (strcmp(t->last[i].gateway, gateway) == 0)
			return &t->last[i];
	return NULL;
}

const struct takeover *tenures_latest(const struct tenures *t)
{
	const struct takeover *latest = NULL;

	for (size_t i = 0; i < t->n_last; i++)
		if (!latest || t->last[i].at_ms > latest->at_ms)
			latest = &t->last[i];
	return latest;
}

const char *tenure_by_text(enum tenure_by by)
{
	static const char *const texts[] = {"Found", "Assigned", "Moved", "Failover"};

	return texts[by];
}
