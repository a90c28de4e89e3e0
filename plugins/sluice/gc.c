/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GC removes what this network's records have and the runtime's list has not. No
 * list, no work: `cnitool gc` sends none. One failure does not end it; all are
 * reported.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cni/attachments.h"
#include "plugin.h"

struct sweep {
	size_t failed;
	char *report;
};

static void failure_add(struct sweep *s, const char *what, const struct err *e)
{
	char *report = mem_printf("%s%s%s%s", s->report ? s->report : "", s->report ? "; " : "",
				  what, e->msg);

	free(s->report);
	s->report = report;
	s->failed++;
}

/* Under its lock the record is read again: a DEL may have been faster, an ADD may have made it
 * anew. */
static void stale_remove(struct plugin *p, const struct record *seen, struct sweep *s)
{
	__cleanup(record_freep) struct record *rec = NULL;
	__cleanup_close int lock = -1;
	struct err e = {0};
	int r;

	r = plugin_lock(p, seen->container_id, seen->ifname, &lock, &e);
	if (r == 0) {
		r = journal_load(p->journal, seen->container_id, seen->ifname, &rec, &e);
		if (r == -ENOENT) {
			journal_lock_remove(p->journal, seen->container_id, seen->ifname);
			return;
		}
	}
	if (r == 0)
		r = attachment_undo(p, rec, &e);
	if (r) {
		__cleanup_free char *who = mem_printf("%s %s: ", seen->container_id, seen->ifname);

		failure_add(s, who, &e);
		return;
	}
	log_info("collected", "container=%s ifname=%s", seen->container_id, seen->ifname);
}

/* Whose a broken record is nobody can tell; one that could not be read may be this network's. */
static void on_bad(const char *name, const struct err *e, void *data)
{
	log_warn("record not readable", "name=%s error=%s", log_quote(name), log_quote(e->msg));
	if (!record_is_bad(e->code))
		failure_add(data, "", e);
}

static int sweep_run(struct plugin *p, const struct cni_attachments *alive, struct sweep *s,
		     struct err *e)
{
	struct record **records = NULL;
	size_t n = 0;
	int r;

	r = journal_list(p->journal, &records, &n, on_bad, s, e);
	if (r < 0)
		return cni_code_from(r, CNI_STATE);
	for (size_t i = 0; i < n; i++) {
		const struct record *rec = records[i];

		if (rec->network && strcmp(rec->network, p->req.name) == 0 &&
		    !cni_attachments_have(alive, rec->container_id, rec->ifname))
			stale_remove(p, rec, s);
	}
	records_free(records, n);
	journal_sweep(p->journal, false);
	return 0;
}

int verb_gc(struct plugin *p, struct err *e)
{
	__cleanup(cni_attachments_freep) struct cni_attachments *alive = NULL;
	struct sweep s = {0};
	int r;

	if (cni_attachments_parse(p->req.conf, &alive, e) < 0)
		return CNI_INVALID_CONFIG;
	if (!alive || !plugin_has_state(p))
		return 0;
	r = plugin_open(p, e);
	if (r == 0)
		r = sweep_run(p, alive, &s, e);
	if (r || !s.failed)
		return r;
	p->details = TAKE(s.report);
	return err_set(e, CNI_DATAPLANE, "%zu attachments could not be removed: %.400s", s.failed,
		       p->details);
}
