/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin asks about its pod. The program is in the kernel before the answer,
 * and stays there for a minute even if no record of the pod appears.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/pod_subject.h"
#include "reconcile/priv.h"

#define PROMISE_MS (PROG_HIDE_AFTER * 1000)

static struct json *answer_new(bool ok)
{
	struct json *o = json_new_object();

	json_set(o, "v", json_new_int(1));
	json_set(o, "ok", json_new_bool(ok));
	return o;
}

static struct json *answer_error(const char *text)
{
	struct json *o = answer_new(false);

	json_set(o, "error", json_new_string(text));
	return o;
}

struct answer {
	const char *kind;
	uint32_t policy, audit, spread, flags;
	uint64_t key;
};

static struct json *answer_emit(const struct answer *a)
{
	struct json *o = answer_new(true);
	char key[17];

	snprintf(key, sizeof(key), "%016" PRIx64, a->key);
	json_set(o, "kind", json_new_string(a->kind));
	json_set(o, "policy", json_new_int(a->policy));
	if (a->audit)
		json_set(o, "audit", json_new_int(a->audit));
	json_set(o, "spread", json_new_int(a->spread));
	json_set(o, "flags", json_new_int(a->flags));
	json_set(o, "key", json_new_string(key));
	return o;
}

static int field(const struct json *request, const char *key, char **ret, struct err *e)
{
	const struct json *v = json_get(request, key);
	const char *s = NULL;
	int rc = json_type(v) == JSON_NULL ? 0 : json_string(v, &s, e);

	if (rc == 0)
		*ret = mem_strdup(s ? s : "");
	return rc;
}

/* The request as the record that the plugin is about to write. */
static int subject_parse(const struct json *request, struct record *ret, struct err *e)
{
	const struct json *labels = json_get(request, "labels");
	int rc;

	rc = field(request, "namespace", &ret->namespace, e);
	if (rc == 0)
		rc = field(request, "name", &ret->pod, e);
	if (rc == 0)
		rc = field(request, "uid", &ret->uid, e);
	if (rc == 0)
		rc = field(request, "network", &ret->network, e);
	if (rc == 0)
		rc = field(request, "ifname", &ret->ifname, e);
	if (rc == 0 && json_type(labels) != JSON_NULL)
		rc = json_expect(labels, JSON_OBJECT, e);
	if (rc == 0 && json_type(labels) == JSON_OBJECT)
		ret->labels = json_emit(labels, 0);
	return rc;
}

static int program_promise(struct reconcile *r, struct binding *b, uint32_t *ret, struct err *e)
{
	struct prog *p = prog_get(r, b->key);
	bool fresh = !p->in_kernel;
	int rc;

	if (!p->binding.n) {
		p->binding = *b;
		*b = (struct binding){0};
	}
	rc = prog_now(r, p, e);
	if (rc < 0)
		return rc;
	p->wanted_until = clock_ms() + PROMISE_MS;
	r->unpublished |= fresh;
	*ret = p->id;
	return 0;
}

/* What is only counted is no reason to refuse a pod: without it, the next pass will try. */
static void audit_promise(struct reconcile *r, const struct pod_info *info, struct answer *a)
{
	__cleanup(binding_done) struct binding b = {0};
	struct err e = {0};

	if (policy_resolve_audit(r->compiled, info, &b) != 0 || b.n == 0)
		return;
	if (program_promise(r, &b, &a->audit, &e) < 0)
		log_warn("audit not ready", "pod=%s/%s error=%s", info->namespace, info->name,
			 log_quote(e.msg));
}

/* A pod of a StatefulSet has the name of the one before it, whose object may still be known. */
static bool is_another(const struct reconcile *r, const struct record *rec)
{
	const struct object *obj = r->policies.objects
					   ? objects_find(r->policies.objects, OBJECTS_PODS,
							  rec->namespace, rec->pod)
					   : NULL;

	return obj && object_uid(obj) && *rec->uid && strcmp(object_uid(obj), rec->uid) != 0;
}

static void subject_of(const struct reconcile *r, const struct record *rec, struct pod_info *ret)
{
	struct image img = subjects_image(r);

	if (is_another(r, rec))
		pod_subject_given(&img, rec, ret);
	else
		pod_subject(&img, rec, ret);
}

static int subject_resolve(struct reconcile *r, const struct record *rec, struct answer *a,
			   struct err *e)
{
	__cleanup(binding_done) struct binding b = {0};
	__cleanup(pod_subject_done) struct pod_info info = {0};
	int rc;

	subject_of(r, rec, &info);
	a->spread = pod_spread(info.namespace, info.name);
	for (size_t i = 0; i < r->conf->n_source_exempt; i++)
		if (strcmp(r->conf->source_exempt[i], info.namespace) == 0)
			a->flags = SLU_POD_NO_SOURCE_CHECK;
	rc = policy_resolve(r->compiled, &info, &b);
	if (rc < 0)
		return err_sys(e, rc, "resolve %s/%s", info.namespace, info.name);
	if (rc > 0) {
		a->kind = "undecided";
		return 0;
	}
	if (b.n) {
		a->key = b.key;
		rc = program_promise(r, &b, &a->policy, e);
		if (rc < 0)
			return rc;
		a->kind = "policy";
	}
	audit_promise(r, &info, a);
	return 0;
}

/* In a record that was only a question there is nothing but what the request said. */
static void subject_done(struct record *rec)
{
	free(rec->namespace);
	free(rec->pod);
	free(rec->uid);
	free(rec->network);
	free(rec->ifname);
	free(rec->labels);
}

static void policies_look_again(struct reconcile *r)
{
	if (!r->compiled || !r->tables || policies_stale(&r->policies, r->conf->policy_dir))
		reconcile_pass(r, NULL);
}

bool reconcile_wants_pod(struct reconcile *r, const struct json *request)
{
	__cleanup(subject_done) struct record rec = {0};
	__cleanup(binding_done) struct binding b = {0};
	__cleanup(pod_subject_done) struct pod_info info = {0};

	if (!r->policies.objects || subject_parse(request, &rec, NULL) < 0 || !*rec.pod)
		return false;
	policies_look_again(r);
	if (!r->compiled)
		return false;
	subject_of(r, &rec, &info);
	return policy_resolve(r->compiled, &info, &b) > 0;
}

struct json *reconcile_resolve(struct reconcile *r, const struct json *request)
{
	__cleanup(subject_done) struct record rec = {0};
	struct answer a = {.kind = "free"};
	struct err e = {0};

	if (subject_parse(request, &rec, &e) < 0)
		return answer_error(e.msg);
	policies_look_again(r);
	if (!r->compiled) {
		a.kind = "undecided";
		return answer_emit(&a);
	}
	if (subject_resolve(r, &rec, &a, &e) < 0) {
		log_error("resolve failed", "pod=%s/%s error=%s", rec.namespace, rec.pod,
			  log_quote(e.msg));
		return answer_error(e.msg);
	}
	return answer_emit(&a);
}
