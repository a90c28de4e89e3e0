/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records → what each pod's interface is to have. ADD and DEL of a pod may run at the
 * same moment in another process; both hold the attachment's lock. So nothing is done
 * to a pod's interface without that lock, hardly waiting for it, and only if the record
 * still says what it said. An interface without a record is let go only when no record
 * can be found now: a record is always there before its map entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataplane/attach.h"
#include "reconcile/pod_subject.h"
#include "reconcile/priv.h"

#define REREAD_MS 10000
#define ATTACH_MS \
	250 /* of attaching in a row: each waits for the kernel (TCX: RCU), and plugins for us */
#define HELD_MS	    10 /* its record was looked at; who is at work keeps the lock longer */
#define COLLECT_AGE 5  /* seconds; a veth that is gone needs no patience */

/* ---- reading ---- */

static void record_bad(const char *name, const struct err *e, void *data)
{
	struct err *unread = data;

	log_warn("record not read", "file=%s error=%s", log_quote(name), log_quote(e->msg));
	if (!record_is_bad(e->code))
		*unread = *e;
}

void pods_forget(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_pods; i++)
		record_free(r->pods[i].rec);
	free(r->pods);
	r->pods = NULL;
	r->n_pods = 0;
	r->records_mtime = 0;
}

static int64_t records_mtime(const struct reconcile *r)
{
	struct stat st;

	if (fstatat(journal_state_dirfd(r->journal), "attachments", &st, 0) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int pods_read(struct reconcile *r, struct err *e)
{
	int64_t mtime = records_mtime(r), now = clock_ms();
	struct record **records = NULL;
	struct err unread = {0};
	size_t n = 0;
	int rc;

	if (mtime && mtime == r->records_mtime && now - r->records_read_at < REREAD_MS)
		return 0;
	rc = journal_list(r->journal, &records, &n, record_bad, &unread, e);
	if (rc < 0)
		return rc;
	if (unread.code) { /* its pod is there: nobody may take it for one that is gone */
		records_free(records, n);
		*e = unread;
		return unread.code;
	}
	pods_forget(r);
	r->pods = mem_alloc0(n * sizeof(*r->pods));
	for (size_t i = 0; i < n; i++)
		r->pods[i].rec = records[i];
	r->n_pods = n;
	free(records);
	r->records_mtime = mtime;
	r->records_read_at = now;
	return 0;
}

/* 1 = it is the namespace that the record means, 0 = another one, -1 = cannot be seen from here. */
static int netns_alive(const struct record *rec)
{
	struct stat st;

	if (!rec->netns || !rec->netns_id || stat(rec->netns, &st) < 0)
		return -1;
	return (uint64_t)st.st_ino == rec->netns_id;
}

static bool other_boot(const struct record *rec)
{
	const char *boot = journal_boot_id();

	return *boot && rec->boot_id && strcmp(boot, rec->boot_id) != 0;
}

/*
 * A veth dies with its namespace, so while the device is there the pod is. The path
 * proves less: a runtime may use it again, and /proc/PID is another process to a daemon
 * in a container. With another name too, the index is somebody else's. The kernel is
 * asked now: an ADD may have made the veth after this pass looked at the node.
 */
static bool veth_gone(const struct reconcile *r, const struct record *rec)
{
	struct link_info link;
	int rc;

	if (rec->kind != ATTACH_VETH || !rec->ifindex)
		return false;
	rc = link_get(r->k.rtnl, rec->ifindex, &link, NULL);
	return rc == -ENODEV ||
	       (rc == 0 && netns_alive(rec) == 0 && strcmp(link.name, rec->host_ifname) != 0);
}

static bool record_dead(const struct reconcile *r, const struct record *rec)
{
	int ns;

	if (other_boot(rec) || veth_gone(r, rec))
		return true;
	if (rec->kind == ATTACH_VETH && rec->ifindex)
		return false;
	ns = netns_alive(rec);
	if (ns == 0)
		return true;
	/* without a host side only the path can tell */
	return rec->kind != ATTACH_VETH && ns < 0 && rec->netns && access(rec->netns, F_OK) < 0 &&
	       errno == ENOENT;
}

static void attachment_of(const struct record *rec, struct dp_attachment *ret)
{
	*ret = (struct dp_attachment){.macvlan = rec->kind == ATTACH_MACVLAN,
				      .ifindex = rec->ifindex};
	memcpy(ret->pod.mac, rec->mac, sizeof(ret->pod.mac));
	for (size_t i = 0; i < rec->n_addrs && i < SLU_MAX_POD_ADDRS; i++)
		ret->pod.addr[ret->pod.naddr++] = slu_addr_make(rec->addrs[i]);
}

/* Seen a moment ago, under its name: the usual case, and no question to the kernel. */
static bool veth_seen(const struct reconcile *r, const struct record *rec)
{
	const struct link_info *l;

	if (rec->kind != ATTACH_VETH || other_boot(rec))
		return false;
	l = node_link(r->node, rec->ifindex);
	return l && strcmp(l->name, rec->host_ifname) == 0;
}

void reconcile_records_changed(struct reconcile *r)
{
	r->records_mtime = 0;
}

void pods_look(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct record *rec = r->pods[i].rec;

		r->pods[i].dead = !veth_seen(r, rec) && record_dead(r, rec);
	}
}

/* ---- who they are to the policies ---- */

static bool source_exempt(const struct reconcile *r, const char *namespace)
{
	for (size_t i = 0; i < r->conf->n_source_exempt; i++)
		if (strcmp(r->conf->source_exempt[i], namespace) == 0)
			return true;
	return false;
}

/* The binding goes to its program; a program that has one already does not need another. */
static uint64_t pod_binds(struct reconcile *r, struct binding *b, bool enforced)
{
	uint64_t key = b->n ? b->key : 0;
	struct prog *prog;

	if (key) {
		prog = prog_get(r, key);
		prog->wanted = true;
		prog->enforced |= enforced;
		if (!prog->binding.n) {
			prog->binding = *b;
			*b = (struct binding){0};
		}
	}
	binding_done(b);
	return key;
}

static void pod_resolve(struct reconcile *r, struct pod *p)
{
	struct image img = subjects_image(r);
	struct binding b = {0}, audit = {0};
	struct pod_info info;
	int rc;

	p->key = p->audit_key = 0;
	pod_subject(&img, p->rec, &info);
	p->spread = pod_spread(info.namespace, info.name);
	p->flags = source_exempt(r, info.namespace) ? SLU_POD_NO_SOURCE_CHECK : 0;
	rc = policy_resolve(r->compiled, &info, &b);
	p->undecided = rc != 0;
	if (p->undecided) /* as the ADD decided: quarantined, exempt or let through */
		p->flags |= p->rec->flags & SLU_POD_QUARANTINE;
	else
		p->key = pod_binds(r, &b, true);
	if (!p->undecided && policy_resolve_audit(r->compiled, &info, &audit) == 0)
		p->audit_key = pod_binds(r, &audit, false);
	pod_subject_done(&info);
	attachment_of(p->rec, &p->a);
	p->a.pod.flags = p->flags;
	p->a.pod.spread = p->spread;
	p->a.pod.tenant = pod_tenant(p->rec->namespace);
	p->resolved = true;
}

/* The answer of an earlier pass stands, and the program's binding with it. */
static bool prog_known(struct reconcile *r, uint64_t key, bool enforced)
{
	struct prog *prog;

	if (!key)
		return true;
	prog = prog_get(r, key);
	prog->wanted |= prog->binding.n > 0;
	prog->enforced |= enforced;
	return prog->wanted;
}

static bool pod_known(struct reconcile *r, const struct pod *p)
{
	return p->resolved && prog_known(r, p->key, true) && prog_known(r, p->audit_key, false);
}

void pods_resolve(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_progs; i++)
		r->progs[i].wanted = r->progs[i].enforced = false;
	for (size_t i = 0; i < r->n_pods; i++) {
		struct pod *p = &r->pods[i];

		if (p->dead || p->rec->kind == ATTACH_NONE || !p->rec->ifindex)
			p->key = p->audit_key = 0;
		else if (!pod_known(r, p))
			pod_resolve(r, p);
	}
}

void pods_mark_governed(struct reconcile *r)
{
	struct dp_model *m = r->desired->model;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];

		if (p->dead || p->rec->kind != ATTACH_VETH ||
		    (!p->key && !(p->flags & SLU_POD_QUARANTINE)))
			continue;
		for (size_t k = 0; k < p->rec->n_addrs; k++) {
			MEM_GROW(m->nft_governed, n);
			m->nft_governed[n++] = p->rec->addrs[k];
		}
	}
	if (n)
		qsort(m->nft_governed, n, sizeof(*m->nft_governed), addr_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || !addr_eq(m->nft_governed[kept - 1], m->nft_governed[i]))
			m->nft_governed[kept++] = m->nft_governed[i];
	m->nft_model.governed = m->nft_governed;
	m->nft_model.n_governed = kept;
}

/* ---- the gate ---- */

struct gate {
	struct reconcile *r;
	int lock;
	int64_t until;
	bool listed, unread, late;
	struct record **records; /* as they are now */
	size_t n_records;
};

static bool same_interface(const struct record *rec, const struct dp_attachment *a)
{
	if (rec->ifindex != a->ifindex || (rec->kind == ATTACH_MACVLAN) != a->macvlan)
		return false;
	return !a->macvlan || memcmp(rec->mac, a->pod.mac, sizeof(rec->mac)) == 0;
}

static const struct record *record_of(const struct reconcile *r, const struct dp_attachment *a)
{
	for (size_t i = 0; i < r->n_pods; i++)
		if (!r->pods[i].dead && same_interface(r->pods[i].rec, a))
			return r->pods[i].rec;
	return NULL;
}

/*
 * Who holds the lock is about to write the record, and asks for what governs the pod itself. What
 * could not be found out is asked for again: the pod goes on as whom it was until then.
 */
static int gate_attach(struct gate *g, const struct dp_attachment *a)
{
	const struct record *rec = record_of(g->r, a);
	struct record *now = NULL;
	bool same;
	int rc;

	g->late |= clock_ms() > g->until;
	if (!rec || g->late)
		return 1;
	rc = journal_lock(g->r->journal, rec->container_id, rec->ifname, HELD_MS, &g->lock, NULL);
	if (rc < 0) {
		g->late = rc != -ETIMEDOUT;
		return 1;
	}
	rc = journal_load(g->r->journal, rec->container_id, rec->ifname, &now, NULL);
	same = rc == 0 && same_interface(now, a) && now->added_at == rec->added_at;
	record_free(now);
	g->late = rc < 0 && rc != -ENOENT;
	if (rc == -ENOENT) /* a DEL was faster: its lock file, made anew by us, goes too */
		journal_lock_remove(g->r->journal, rec->container_id, rec->ifname);
	if (!same)
		cleanup_closep(&g->lock);
	if (!same)
		g->lock = -1;
	return same ? 0 : 1;
}

/* A record that cannot be read may be of any interface. */
static void gate_unread(const char *name, const struct err *e, void *data)
{
	((struct gate *)data)->unread = true;
}

static int gate_close_pod(struct gate *g, const struct dp_attachment *a)
{
	if (!g->listed &&
	    journal_list(g->r->journal, &g->records, &g->n_records, gate_unread, g, NULL) < 0)
		return 1;
	g->listed = true;
	if (g->unread)
		return 1;
	for (size_t i = 0; i < g->n_records; i++)
		if (same_interface(g->records[i], a) && !other_boot(g->records[i]))
			return 1; /* dead or not: pods_collect knows better, and waits */
	return 0;
}

static int gate_open(const struct dp_step *s, void *data)
{
	const struct dp_pod *p = s->arg;

	return s->op == DP_POD_ATTACH ? gate_attach(data, &p->a) : gate_close_pod(data, &p->a);
}

static void gate_close(void *data)
{
	struct gate *g = data;

	cleanup_closep(&g->lock);
	g->lock = -1;
}

void pods_gate(struct reconcile *r, struct dp_gate *ret)
{
	struct gate *g = mem_alloc0(sizeof(*g));

	g->r = r;
	g->lock = -1;
	g->until = clock_ms() + ATTACH_MS;
	*ret = (struct dp_gate){gate_open, gate_close, g};
}

bool pods_gate_done(struct dp_gate *gate)
{
	struct gate *g = gate->data;
	bool late = g->late;

	records_free(g->records, g->n_records);
	free(g);
	gate->data = NULL;
	return late;
}

/* ---- what is over ---- */

/* By the clock on the wall: what is of the future was added before it was set back. */
static bool young(const struct record *rec)
{
	int64_t age = time(NULL) - rec->added_at;

	return age > -COLLECT_AGE && age < COLLECT_AGE;
}

/* rec is as it stands in the journal, its lock is held. */
static void record_collect(struct reconcile *r, const struct record *rec)
{
	struct dp_attachment a;
	struct err e = {0};
	int rc = 0;

	if (young(rec) && !veth_gone(r, rec) && !other_boot(rec))
		return;
	attachment_of(rec, &a);
	if (rec->kind != ATTACH_NONE && rec->ifindex && !other_boot(rec))
		rc = dp_close(r->k.pins, &a, &e);
	if (rc == 0)
		rc = journal_remove(r->journal, rec->container_id, rec->ifname, &e);
	if (rc < 0) {
		log_warn("record not collected", "container=%s ifname=%s error=%s",
			 rec->container_id, rec->ifname, log_quote(e.msg));
		return;
	}
	journal_lock_remove(r->journal, rec->container_id, rec->ifname);
	log_info("record collected", "container=%s ifname=%s pod=%s/%s", rec->container_id,
		 rec->ifname, rec->namespace ? rec->namespace : "", rec->pod ? rec->pod : "");
}

/* Since it was read, an ADD under the same name may have replaced it, or a DEL removed it. */
static void pod_collect(struct reconcile *r, const struct pod *p)
{
	const char *id = p->rec->container_id, *ifname = p->rec->ifname;
	__cleanup_close int lock = -1;
	struct record *now = NULL;
	int rc;

	if (journal_lock(r->journal, id, ifname, 0, &lock, NULL) < 0)
		return;
	rc = journal_load(r->journal, id, ifname, &now, NULL);
	if (rc == -ENOENT)
		journal_lock_remove(r->journal, id, ifname);
	if (rc == 0 && record_dead(r, now))
		record_collect(r, now);
	record_free(now);
}

void pods_collect(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_pods; i++)
		if (r->pods[i].dead)
			pod_collect(r, &r->pods[i]);
}
