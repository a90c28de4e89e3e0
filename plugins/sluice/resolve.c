/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three sources, in this order:
 *
 *   the daemon   knows labels the plugin cannot, and has the program in the kernel
 *		  before it answers
 *   snapshot	  what the daemon, or a run of `sluiced --once`, compiled last; good
 *		  when the policy folder has not changed since and the pinned objects
 *		  are there (they are not after a reboot)
 *   sluiced --once, which leaves a new snapshot. When it fails, the snapshot there
 *		  is stays valid: what is in force stays in force.
 *
 * A run sees the attachments in the state folder, so a pod whose combination of
 * policies is not in the kernel yet is written down before the run.
 */
#include "resolve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bpf/maps.h"
#include "once.h"
#include "reconcile/pod_subject.h"
#include "snapshot.h"
#include "state/socket.h"

bool resolve_may_pass(const struct plugin *p, const struct record *rec)
{
	if (p->conf->fail_open)
		return true;
	for (size_t i = 0; i < p->conf->n_exempt_namespaces; i++)
		if (strcmp(p->conf->exempt_namespaces[i], rec->namespace) == 0)
			return true;
	return false;
}

static void answer_set(const struct plugin *p, struct record *rec, const struct image_answer *a)
{
	rec->policy = a->kind == IMAGE_POLICY ? a->policy : 0;
	rec->audit = a->audit_policy;
	rec->key = a->key;
	rec->spread = a->spread;
	rec->flags = a->flags;
	if (a->kind == IMAGE_UNDECIDED && !resolve_may_pass(p, rec))
		rec->flags |= SLU_POD_QUARANTINE;
}

/* ---- the daemon ---- */

static struct json *question_make(const struct record *rec)
{
	struct json *labels = NULL;
	struct json *q = json_new_object();

	if (rec->labels)
		json_parse(rec->labels, strlen(rec->labels), &labels, NULL);
	json_set(q, "v", json_new_int(1));
	json_set(q, "op", json_new_string("resolve"));
	json_set(q, "namespace", json_new_string(rec->namespace));
	json_set(q, "name", json_new_string(rec->pod));
	json_set(q, "uid", json_new_string(rec->uid));
	json_set(q, "labels", labels ? labels : json_new_null());
	json_set(q, "network", json_new_string(rec->network));
	json_set(q, "ifname", json_new_string(rec->ifname));
	return q;
}

static int kind_parse(const struct json *j, enum image_answer_kind *ret, struct err *e)
{
	static const struct {
		const char *name;
		enum image_answer_kind kind;
	} kinds[] = {
		{"free", IMAGE_FREE}, {"policy", IMAGE_POLICY}, {"undecided", IMAGE_UNDECIDED}};
	const char *s;
	int r = json_string(j, &s, e);

	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(s, kinds[i].name) == 0) {
			*ret = kinds[i].kind;
			return 0;
		}
	}
	return err_set(e, -EBADMSG, "the daemon's answer has no kind that is known");
}

static int u32_parse(const struct json *obj, const char *key, uint32_t *ret, struct err *e)
{
	const struct json *j = json_get(obj, key);
	int64_t v = 0;
	int r;

	if (!j)
		return 0;
	r = json_int(j, 0, UINT32_MAX, &v, e);
	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

static int answer_parse(const struct json *j, struct image_answer *a, struct err *e)
{
	const char *s;
	bool ok = false;
	int r;

	json_bool(json_get(j, "ok"), &ok, NULL);
	if (!ok)
		return err_set(e, -EAGAIN, "the daemon cannot say: %s",
			       json_string(json_get(j, "error"), &s, NULL) == 0 ? s : "no reason");
	r = kind_parse(json_get(j, "kind"), &a->kind, e);
	if (r == 0)
		r = u32_parse(j, "policy", &a->policy, e);
	if (r == 0)
		r = u32_parse(j, "audit", &a->audit_policy, e);
	if (r == 0)
		r = u32_parse(j, "spread", &a->spread, e);
	if (r == 0)
		r = u32_parse(j, "flags", &a->flags, e);
	if (r == 0 && json_string(json_get(j, "key"), &s, NULL) == 0)
		a->key = strtoull(s, NULL, 16);
	if (r == 0 && a->kind == IMAGE_POLICY && !a->policy)
		r = err_set(e, -EBADMSG, "the daemon's answer has no policy id");
	return r;
}

/* 0; -ENOENT or -ECONNREFUSED when there is none; -errno. */
static int daemon_ask(struct plugin *p, struct record *rec, struct err *e)
{
	__cleanup_json struct json *question = question_make(rec);
	__cleanup_json struct json *answer = NULL;
	struct image_answer a = {0};
	int r;

	r = socket_ask(p->conf->run_dir, question, DAEMON_TIMEOUT_MS, &answer, e);
	if (r == 0)
		r = answer_parse(answer, &a, e);
	if (r < 0) {
		if (r != -ENOENT && r != -ECONNREFUSED)
			log_warn("daemon did not answer", "error=%s", log_quote(e->msg));
		return r;
	}
	answer_set(p, rec, &a);
	return 0;
}

/* ---- the snapshot ---- */

static bool pins_there(const struct plugin *p)
{
	struct bpf_pins *pins;

	if (bpf_pins_open(p->conf->bpffs, &pins, NULL) < 0)
		return false;
	bpf_pins_close(pins);
	return true;
}

/* The snapshot as it is: good = of the folder as it is now, and the kernel has what it speaks of.
 */
static bool snapshot_load(const struct plugin *p, struct snapshot *s, struct err *e)
{
	snapshot_close(s);
	return snapshot_open(s, p->conf->state_dir, e) == 0 &&
	       snapshot_fresh(s, p->conf->policy_dir) && pins_there(p);
}

static void snapshot_ask(const struct snapshot *s, const struct record *rec,
			 struct image_answer *ret)
{
	struct pod_info pod;

	*ret = (struct image_answer){.kind = IMAGE_NO_PROGRAM};
	if (!s->data)
		return;
	pod_subject(&s->img, rec, &pod);
	if (image_resolve(&s->img, &pod, ret) < 0)
		*ret = (struct image_answer){.kind = IMAGE_NO_PROGRAM};
	pod_subject_done(&pod);
}

/* ---- a compile run ---- */

/*
 * One run at a time on a node. Whoever had to wait looks first whether the run
 * before has done the work already. 0; 1 = there was none, or it failed, with its
 * words in e; -errno.
 */
static int compile_run(struct plugin *p, struct record *rec, struct snapshot *s,
		       struct image_answer *a, struct err *e)
{
	__cleanup_close int lock = -1;
	int r;

	r = journal_store(p->journal, rec, e);
	if (r == 0)
		r = journal_lock_node(p->journal, ONCE_TIMEOUT_MS, &lock, e);
	if (r < 0)
		return r;
	if (snapshot_load(p, s, NULL)) {
		snapshot_ask(s, rec, a);
		if (a->kind != IMAGE_NO_PROGRAM)
			return 0;
	}
	r = once_run(p->conf, ONCE_TIMEOUT_MS, e);
	if (r < 0)
		return r;
	snapshot_load(p, s, r > 0 ? NULL : e);
	snapshot_ask(s, rec, a);
	return r;
}

/* Nobody can say: refused with the reason, unless the pod may pass. */
static int unresolved(struct plugin *p, struct record *rec, const struct err *why, struct err *e)
{
	rec->policy = rec->audit = 0;
	rec->key = 0;
	rec->flags = 0;
	rec->spread = pod_spread(rec->namespace, rec->pod);
	if (resolve_may_pass(p, rec)) {
		log_warn("pod passes without an answer", "namespace=%s pod=%s reason=%s",
			 log_quote(rec->namespace), log_quote(rec->pod), log_quote(why->msg));
		return 0;
	}
	return err_set(e, CNI_TRY_AGAIN, "pod %.64s/%.64s: its egress policy cannot be known: %s",
		       rec->namespace, rec->pod, why->msg);
}

static int snapshot_resolve(struct plugin *p, struct record *rec, struct snapshot *s, struct err *e)
{
	struct image_answer a;
	struct err why = {0};
	bool good = snapshot_load(p, s, &why);

	snapshot_ask(s, rec, &a);
	if (!good || a.kind == IMAGE_NO_PROGRAM) {
		int r = compile_run(p, rec, s, &a, &why);

		if (r <
		    0) /* what failed is here, and may pass: not a reason to go by an old answer */
			a.kind = IMAGE_NO_PROGRAM;
		if (r != 0)
			log_warn("compile run failed", "error=%s", log_quote(why.msg));
		else if (a.kind == IMAGE_NO_PROGRAM && !why.code)
			err_set(&why, -EAGAIN, "sluiced --once left no program for it");
	}
	if (a.kind == IMAGE_NO_PROGRAM)
		return unresolved(p, rec, &why, e);
	answer_set(p, rec, &a);
	return 0;
}

int resolve_add(struct plugin *p, struct record *rec, struct err *e)
{
	struct snapshot s = {0};
	struct err why = {0};
	int r;

	if (daemon_ask(p, rec, &why) == 0)
		return 0;
	r = snapshot_resolve(p, rec, &s, e);
	snapshot_close(&s);
	return r;
}

int resolve_look(struct plugin *p, struct record *rec)
{
	struct snapshot s = {0};
	struct image_answer a;
	struct err why = {0};

	if (daemon_ask(p, rec, &why) == 0)
		return 1;
	if (snapshot_open(&s, p->conf->state_dir, NULL) < 0)
		return 0;
	snapshot_ask(&s, rec, &a);
	snapshot_close(&s);
	if (a.kind == IMAGE_NO_PROGRAM)
		return 0;
	answer_set(p, rec, &a);
	return 1;
}
