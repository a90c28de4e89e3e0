/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD: who, where, by what governed; then the record, the kernel, the answer, in
 * this order. Killed at any instruction, it leaves a record that says what may be
 * in the kernel, or nothing.
 */
#include <errno.h>
#include <string.h>

#include "attachment.h"
#include "base/log.h"
#include "cni/result.h"
#include "kernel/tc.h"
#include "plugin.h"
#include "resolve.h"

static bool governed(const struct record *rec)
{
	return rec->policy || rec->flags & SLU_POD_QUARANTINE;
}

/*
 * An earlier ADD of the same attachment (a replay, or a container started again
 * under its id) may have left its program on another device. What cannot be
 * undone now the daemon collects: the device is gone or nobody's pod.
 */
static void earlier_undo(struct plugin *p, const struct record *rec)
{
	__cleanup(record_freep) struct record *old = NULL;
	struct err e = {0};

	if (journal_load(p->journal, rec->container_id, rec->ifname, &old, &e) < 0)
		return;
	if (old->kind == rec->kind && old->ifindex == rec->ifindex &&
	    memcmp(old->mac, rec->mac, sizeof(old->mac)) == 0)
		return;
	if (attachment_kernel_undo(p, old, &e) < 0)
		log_warn("earlier attachment not undone", "error=%s", log_quote(e.msg));
}

/* A pod that something selects is refused where nothing can be enforced; the others pass. */
static int governable_check(const struct attachment *a, struct err *e)
{
	const struct record *rec = a->rec;

	if (rec->kind != ATTACH_NONE || !governed(rec))
		return 0;
	if (rec->policy)
		return err_set(
			e, CNI_NOT_GOVERNABLE,
			"an egress policy selects pod %.64s/%.64s, but it cannot be enforced: "
			"%s",
			rec->namespace, rec->pod, a->why);
	return err_set(e, CNI_TRY_AGAIN,
		       "the labels of pod %.64s/%.64s are not known, and it cannot be quarantined: "
		       "%s",
		       rec->namespace, rec->pod, a->why);
}

/* With the address of a gateway or a node a pod would have its packets, and leave as it. */
static int addrs_check(const struct plugin *p, const struct record *rec, struct err *e)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	struct dp_attachment a = attachment_dp(rec);
	int r = bpf_pins_open(p->conf->bpffs, &pins, e);

	if (r == -ENOENT) /* nobody can say; whether it may pass so is asked later */
		return 0;
	if (r == 0)
		r = dp_addrs_check(pins, &a, e);
	if (r == 0)
		return 0;
	err_wrap(e, "prevResult");
	return r == -EADDRINUSE ? CNI_INVALID_CONFIG : (int)cni_code_from(r, CNI_DATAPLANE);
}

/* The program would not be reached: as with any interface that cannot carry one. */
static int unreached(struct plugin *p, struct record *rec, struct err *e)
{
	int r;

	if (governed(rec))
		return CNI_NOT_GOVERNABLE;
	log_warn("pod passes without a program", "namespace=%s pod=%s reason=%s",
		 log_quote(rec->namespace), log_quote(rec->pod), log_quote(e->msg));
	rec->kind = ATTACH_NONE;
	r = journal_store(p->journal, rec, e);
	return r < 0 ? (int)cni_code_from(r, CNI_STATE) : 0;
}

static int kernel_apply(struct plugin *p, struct record *rec, struct err *e)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	struct dp_attachment a = attachment_dp(rec);
	int r;

	r = bpf_pins_open(p->conf->bpffs, &pins, e);
	if (r == -ENOENT && (!governed(rec) || resolve_may_pass(p, rec))) {
		log_warn("pod passes without a data plane", "namespace=%s pod=%s reason=%s",
			 log_quote(rec->namespace), log_quote(rec->pod), log_quote(e->msg));
		return 0; /* its record stays: the daemon attaches it when it comes */
	}
	if (r == -ENOENT) {
		err_wrap(e, "no data plane (start sluiced)");
		return CNI_TRY_AGAIN;
	}
	if (r == 0)
		r = dp_names_of(pins, &a, e);
	if (r == 0)
		r = dp_attach(pins, &a, e);
	if (r == -TC_UNREACHED) {
		dp_detach(pins, &a, NULL);
		return unreached(p, rec, e);
	}
	return r < 0 ? (int)cni_code_from(r, CNI_DATAPLANE) : 0;
}

static int result_print(const struct plugin *p, struct err *e)
{
	__cleanup_free char *text = cni_result_emit(p->req.prev, p->req.version);
	int r = reply_print(text);

	if (r == 0)
		return 0;
	err_sys(e, r, "write stdout");
	return CNI_IO_FAILURE;
}

static int attachment_add(struct plugin *p, struct attachment *a, struct err *e)
{
	struct record *rec = a->rec;
	int r;

	r = resolve_add(p, rec, e);
	if (r == 0)
		r = governable_check(a, e);
	if (r == 0)
		r = addrs_check(p, rec, e);
	if (r)
		return r;
	r = journal_store(p->journal, rec, e);
	if (r < 0)
		return cni_code_from(r, CNI_STATE);
	r = rec->kind == ATTACH_NONE ? 0 : kernel_apply(p, rec, e);
	return r ? r : result_print(p, e);
}

static int add(struct plugin *p, struct attachment *a, struct err *e)
{
	__cleanup_close int lock = -1;
	struct record *rec = a->rec;
	int r;

	r = plugin_open(p, e);
	if (r == 0)
		r = plugin_lock(p, rec->container_id, rec->ifname, &lock, e);
	if (r)
		return r;
	earlier_undo(p, rec);
	r = attachment_add(p, a, e);
	if (r)
		attachment_undo(p, rec,
				NULL); /* a DEL without prevResult follows, or nothing does */
	else
		log_info("added", "namespace=%s pod=%s ifname=%s host=%s policy=%u flags=%u %s",
			 log_quote(rec->namespace), log_quote(rec->pod), rec->ifname,
			 rec->host_ifname, rec->policy, rec->flags, a->why);
	return r;
}

int verb_add(struct plugin *p, struct err *e)
{
	struct attachment a = {0};
	int r;

	if (!p->req.prev)
		return err_set(e, CNI_INVALID_CONFIG,
			       "must be called as a chained plugin: missing prevResult from an "
			       "earlier plugin");
	r = attachment_find(p, &a, e);
	if (r)
		return r;
	r = add(p, &a, e);
	record_free(a.rec);
	return r;
}
