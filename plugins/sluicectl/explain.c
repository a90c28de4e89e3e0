/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain POD DEST: what would become of a packet, without one being sent. Judged by
 * the compiled form that the kernel has, for the pod's attachments on record; for a
 * pod that is not here (yet), by its Pod object or --labels.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "ctl.h"
#include "explain.h"
#include "explain_answer.h"
#include "known_names.h"
#include "policy/fqdn.h"
#include "reconcile/pod_subject.h"

/* ---- one attachment ---- */

struct asked {
	struct ctl *ctl;
	const struct view *view;
	struct destination dest;
	struct json *out;
	size_t n; /* answers so far */
	uint32_t *
		names; /* compiled_names that --fqdn is one of, or that the kernel knows it under */
	size_t n_names;
	struct err why;	      /* of a failure, where it is known */
	const char *imagined; /* why the kernel cannot be asked: another time, other labels */
	bool disagrees;
};

/* What the kernel knows it under, where it is asked. True: that is something else than before. */
static bool names_look(struct asked *k, struct explain_query *q)
{
	const struct compiled_service *service = compiled_service(k->view->compiled, k->dest.addr,
								  k->dest.lo);
	struct explain_query at = *q;
	uint32_t *names;
	size_t n;
	bool other;

	if (k->imagined)
		return false;
	if (service)
		at.dst = service->endpoints[0].addr;
	known_names(k->ctl->conf.bpffs, k->view->compiled, &at, &names, &n);
	other = n != k->n_names || (n && memcmp(names, k->names, n * sizeof(*names)) != 0);
	free(k->names);
	q->names = k->names = names;
	q->n_names = k->n_names = n;
	return other;
}

/* A name may cease to hold, or be learned, while the kernel is asked. */
static int judge(struct asked *k, struct explain_query *q, const struct record *rec,
		 struct explain **ret, struct kernel_answer *kernel)
{
	for (int i = 0;; i++) {
		struct explain *x = NULL;
		int r = policy_explain(k->view->compiled, q, &x);

		if (r < 0)
			return r;
		*ret = x;
		if (k->imagined)
			snprintf(kernel->text, sizeof(kernel->text), "%s", k->imagined);
		else
			kernel_ask(&k->ctl->conf, q, x, rec, kernel);
		if (!kernel->asked || kernel->agrees || i == 3 || !names_look(k, q))
			return 0;
		explain_free(x);
	}
}

static int tell(struct asked *k, struct explain_query *q, const struct record *rec, uint32_t lo,
		uint32_t hi)
{
	__cleanup(explain_freep) struct explain *x = NULL;
	struct kernel_answer kernel = {0};
	struct answer a = {
		.view = k->view, .q = q, .rec = rec, .l4 = l4_text(lo, hi), .kernel = &kernel};
	int r;

	q->l4_key = lo;
	r = judge(k, q, rec, &x, &kernel);
	if (r < 0)
		return r;
	a.x = x;
	k->disagrees |= kernel.asked && !kernel.agrees;
	if (!k->ctl->json && k->n)
		putchar('\n');
	if (k->ctl->json)
		json_append(k->out, explain_json(&a));
	else
		explain_print(&a);
	k->n++;
	return 0;
}

static bool is_judged(const struct asked *k, struct explain_query *q)
{
	__cleanup(explain_freep) struct explain *x = NULL;

	q->l4_key = k->dest.lo;
	return policy_explain(k->view->compiled, q, &x) == 0 && explain_governed(x);
}

/* No port was named: one answer for each range of ports that has another one. */
static int tell_ranges(struct asked *k, struct explain_query *q, const struct record *rec)
{
	__cleanup(binding_done) struct binding b = {0};
	__cleanup_free struct program_range *ranges = NULL;
	const struct program_dst pkt = {q->dst, q->names, q->n_names};
	struct program *p = NULL;
	size_t n;
	int r = policy_resolve(k->view->compiled, &q->pod, &b);

	if (r == 0 && b.n && is_judged(k, q))
		r = policy_flatten(k->view->compiled, &b, &p);
	if (r || !p)
		return r < 0 ? r : tell(k, q, rec, k->dest.lo, k->dest.hi);
	program_ranges(p, k->view->compiled, &pkt, &ranges, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		uint32_t lo = ranges[i].lo;
		uint32_t hi = i + 1 < n ? ranges[i + 1].lo - 1 : L4_MAX;

		if (hi < k->dest.lo || lo > k->dest.hi)
			continue;
		r = tell(k, q, rec, lo < k->dest.lo ? k->dest.lo : lo,
			 hi > k->dest.hi ? k->dest.hi : hi);
	}
	program_free(p);
	return r;
}

/* Which limit, instead of an errno's words. */
static void too_large_say(struct asked *k, const struct pod_info *pod)
{
	__cleanup(binding_done) struct binding b = {0};

	if (policy_resolve(k->view->compiled, pod, &b) == 0 && b.n)
		policy_too_large(k->view->compiled, &b, &k->why);
	err_wrap(&k->why, "%s/%s", pod->namespace, pod->name);
}

static int tell_pod(struct asked *k, const struct record *rec, bool on_record)
{
	__cleanup(pod_subject_done) struct pod_info pod = {0};
	struct explain_query q = {.dst = k->dest.addr, .names = k->names, .n_names = k->n_names};
	int r;

	pod_subject(&k->view->image, rec, &pod);
	q.pod = pod;
	names_look(k, &q);
	for (size_t i = 0; i < k->ctl->conf.n_source_exempt; i++)
		if (strcmp(k->ctl->conf.source_exempt[i], pod.namespace) == 0)
			q.source_exempt = true;
	r = k->dest.lo != k->dest.hi ? tell_ranges(k, &q, on_record ? rec : NULL)
				     : tell(k, &q, on_record ? rec : NULL, k->dest.lo, k->dest.hi);
	if (r == -E2BIG)
		too_large_say(k, &pod);
	return r;
}

/* "app=web,tier=db" as the JSON object a record holds. */
static char *labels_json(const char *text)
{
	__cleanup_json struct json *o = json_new_object();
	__cleanup_free char *copy = mem_strdup(text);
	char *save = NULL;

	for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(s, '=');

		if (!eq)
			return NULL;
		*eq = 0;
		json_set(o, s, json_new_string(eq + 1));
	}
	return json_emit(o, 0);
}

static bool records_unreadable(const struct view *v)
{
	return v->records_err.code && v->records_err.code != -ENOENT;
}

/* Nothing is known of it: perhaps another one is meant. */
static void stranger_warn(const struct view *v, const char *namespace, const char *name)
{
	const struct doc_set *set = v->policies.set;
	__cleanup_free const char **names = mem_alloc0((v->n_records + set->n_pods + 1) *
						       sizeof(*names));
	const char *meant;
	size_t n = 0;

	for (size_t i = 0; i < v->n_records; i++)
		if (strcmp(v->records[i]->namespace, namespace) == 0)
			names[n++] = v->records[i]->pod;
	for (size_t i = 0; i < set->n_pods; i++)
		if (strcmp(set->pods[i]->meta.namespace, namespace) == 0)
			names[n++] = set->pods[i]->meta.name;
	meant = closest(name, names, n);
	ctl_warn("%s: judged without labels (give them by --labels)%s%s%s%s%s",
		 records_unreadable(v) ? v->records_err.msg : "no such pod on this node",
		 meant ? "; did you mean '" : "", meant ? namespace : "", meant ? "/" : "",
		 meant ?: "", meant ? "'?" : "");
}

static int tell_failed(const struct asked *k, int r, struct err *e)
{
	if (!k->why.code)
		return err_sys(e, r, "explain");
	*e = k->why;
	return r;
}

/* A pod that has no record here: who it would be. */
static int tell_stranger(struct asked *k, const char *namespace, const char *name, struct err *e)
{
	__cleanup_free char *ns = mem_strdup(namespace), *pod = mem_strdup(name), *given = NULL;
	struct record rec = {.namespace = ns, .pod = pod};
	struct labels labels = {0};
	int r;

	if (k->ctl->labels) {
		given = labels_json(k->ctl->labels);
	} else if (image_pod_labels(&k->view->image, ns, pod, &labels) == 0) {
		labels_done(&labels);
	} else {
		stranger_warn(k->view, namespace, name);
	}
	rec.labels = given;
	r = tell_pod(k, &rec, false);
	return r < 0 ? tell_failed(k, r, e) : 0;
}

static int tell_all(struct asked *k, const char *namespace, const char *name, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !k->ctl->labels && i < k->view->n_records; i++) {
		const struct record *rec = k->view->records[i];

		if (strcmp(rec->namespace, namespace) == 0 && strcmp(rec->pod, name) == 0)
			r = tell_pod(k, rec, true);
	}
	if (r < 0)
		return tell_failed(k, r, e);
	return k->n ? 0 : tell_stranger(k, namespace, name, e);
}

/* "198.51.100.7" with --port and --proto as one text. */
static int dest_parse(const struct ctl *ctl, struct destination *ret, struct err *e)
{
	const char *dest = ctl->args[1], *proto = ctl->proto ?: "";
	__cleanup_free char *text = NULL;
	struct addr bare;

	if (!ctl->port && !ctl->proto)
		return destination_parse(dest, ret, e);
	if (addr_parse(dest, &bare) < 0)
		return err_set(e, -EINVAL, "'%s': expected an address beside --port and --proto",
			       dest);
	text = mem_printf(addr_is_v4(bare) ? "%s%s%s%s%s" : "[%s]%s%s%s%s", dest,
			  ctl->port ? ":" : "", ctl->port ?: "", *proto ? "/" : "", proto);
	return destination_parse(text, ret, e);
}

static void names_find(struct asked *k)
{
	char name[FQDN_MAX + 1];
	const char *const *all, *why;
	size_t n;

	if (!k->ctl->fqdn || fqdn_check(k->ctl->fqdn, name, &why) < 0)
		return;
	all = compiled_names(k->view->compiled, &n);
	for (uint32_t i = 0; i < n; i++) {
		if (!fqdn_matches(all[i], name))
			continue;
		MEM_GROW(k->names, k->n_names);
		k->names[k->n_names++] = i;
	}
}

/* ---- what is asked ---- */

static int pod_parse(const struct ctl *ctl, struct explain_in *ret, struct err *e)
{
	const char *text = ctl->args[0], *slash = strchr(text, '/');

	if (slash && ctl->namespace &&
	    (strlen(ctl->namespace) != (size_t)(slash - text) ||
	     strncmp(ctl->namespace, text, (size_t)(slash - text)) != 0))
		return err_set(e, -EINVAL, "'%s' is not in the namespace of --namespace '%s'", text,
			       ctl->namespace);
	ret->namespace = slash ? mem_printf("%.*s", (int)(slash - text), text)
			       : mem_strdup(ctl->namespace);
	ret->pod = mem_strdup(slash ? slash + 1 : text);
	return 0;
}

/* What is also needed later is read there once more. */
static void options_check(const struct ctl *ctl, struct err *e)
{
	__cleanup_free char *labels = ctl->labels ? labels_json(ctl->labels) : NULL;
	char name[FQDN_MAX + 1];
	const char *why;

	if (ctl->labels && !labels)
		err_set(e, -EINVAL, "--labels '%s': expected key=value,…", ctl->labels);
	else if (ctl->fqdn && fqdn_check(ctl->fqdn, name, &why) < 0)
		err_set(e, -EINVAL, "--fqdn '%s': %s", ctl->fqdn, why);
}

int explain_read(const struct ctl *ctl, struct explain_in *ret)
{
	struct err e = {0};

	*ret = (struct explain_in){.at = time(NULL)};
	if (ctl->at && !doc_moment(ctl->at, &ret->at))
		err_set(&e, -EINVAL, "--at '%s': expected a time like 2026-12-24T18:00:00Z",
			ctl->at);
	options_check(ctl, &e);
	if (e.code || dest_parse(ctl, &ret->dest, &e) < 0 || pod_parse(ctl, ret, &e) < 0) {
		ctl_fail(&e);
		return CTL_USAGE;
	}
	ret->imagined = ctl->at	      ? "--at asks for another time"
			: ctl->labels ? "--labels asks for other labels"
			: ctl->fqdn   ? "--fqdn asks for a name"
				      : NULL;
	return CTL_OK;
}

void explain_in_done(struct explain_in *in)
{
	free(in->namespace);
	free(in->pod);
}

int explain_tell(struct ctl *ctl, const struct view *v, const struct explain_in *in)
{
	__cleanup_json struct json *out = json_new_array();
	struct asked k = {
		.ctl = ctl, .view = v, .out = out, .dest = in->dest, .imagined = in->imagined};
	struct err e = {0};
	int r;

	names_find(&k);
	r = tell_all(&k, in->namespace ?: "default", in->pod, &e);
	free(k.names);
	if (r < 0)
		return ctl_fail(&e);
	if (ctl->json)
		ctl_print_json(out);
	if (!k.disagrees)
		return CTL_OK;
	err_set(&e, -EBADMSG,
		"the program in force decides otherwise than its policies say: this is a defect, "
		"please report it with the output of this command");
	return ctl_fail(&e);
}

static int run(struct ctl *ctl)
{
	__cleanup(explain_in_done) struct explain_in in = {0};
	__cleanup(view_done) struct view v = {0};
	struct err e = {0};
	int r = explain_read(ctl, &in);

	if (r != CTL_OK)
		return r;
	if (view_open(&ctl->conf, in.at, &v, &e) < 0)
		return ctl_fail(&e);
	view_warn(&v, &ctl->conf);
	return explain_tell(ctl, &v, &in);
}

const struct verb verb_explain = {
	.name = "explain",
	.run = run,
	.min_args = 2,
	.max_args = 2,
	.help = "explain [-n NS] POD DEST[:PORT][/PROTO] [OPTION]…\n"
		"what happens to a packet, which rule decides, and why\n"
		"\n"
		"POD is NAMESPACE/NAME, or a name in namespace NS (default: \"default\"; for a\n"
		"cluster that of the kubeconfig's context). DEST is an address; put an IPv6\n"
		"address with a port in brackets. PROTO is TCP (default with a port), UDP, SCTP,\n"
		"ICMP, ICMPv6 (PORT is then the type) or a number. Without a port there is one\n"
		"answer for each range of ports that differs. Nothing is sent. Needs neither root\n"
		"nor a daemon, but without root the pods on record may be unreadable.\n"
		"\n"
		"  --proto P, --port N  the same as in DEST\n"
		"  --at TIME            as of that time (2026-12-24T18:00:00Z)\n"
		"  --fqdn NAME          as if DEST had been learned as an address of that name;\n"
		"                       by default, as root, what it has been learned as\n"
		"  --labels K=V,…       judge a pod with these labels, whether it exists or not\n"
		"\n"
		"As root, for a pod that runs here, the BPF program in the kernel is asked the\n"
		"same by a test run that leaves no trace; exit status 1 if its answer differs.\n"
		"\n",
};
