/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain POD DEST: what would become of a packet, without one being sent. Judged by
 * the compiled form that the kernel has, for the pod's attachments on record; for a
 * pod that is not here (yet), by its Pod object or --labels.
 */
#include "policy/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "bpf/maps.h"
#include "ctl.h"
#include "destination.h"
#include "kernel_ask.h"
#include "policy/fqdn.h"
#include "reconcile/pod_subject.h"
#include "view.h"

#define NAME_LEN (2 * DOC_MAX_NAME + 64)

/* One attachment and one destination: what both outputs are made from. */
struct answer {
	const struct view *view;
	const struct explain *x;
	const struct explain_query *q;
	const struct record *rec;
	const char *l4; /* "TCP/443" */
	const struct kernel_answer *kernel;
};

static bool governed(const struct explain *x)
{
	return x->scope == EXPLAIN_OUTSIDE || x->scope == EXPLAIN_LINK_LOCAL;
}

static const struct explain_line *winner(const struct explain *x, bool identity)
{
	for (size_t i = 0; i < x->n_lines; i++)
		if ((identity ? x->lines[i].identity : x->lines[i].verdict) == EXPLAIN_WINS)
			return &x->lines[i];
	return NULL;
}

static const char *verdict_name(uint8_t verdict)
{
	static const char *const names[] = {"Allow", "Deny", "Reject"};

	return names[verdict];
}

static const struct doc_via *via_of(const struct flat_rule *r)
{
	return r->rule ? &r->rule->via : &r->policy->default_via;
}

static const char *via_text(const struct flat_rule *r)
{
	const struct doc_via *via = via_of(r);

	if (via->kind == VIA_NONE)
		return NULL;
	return via->kind == VIA_NODE ? "node" : via->gateway;
}

static enum rule_action action_of(const struct flat_rule *r)
{
	return r->rule ? r->rule->action : r->policy->default_action;
}

/* ---- text ---- */

static void print_by(const struct explain_line *line)
{
	char name[NAME_LEN];
	struct doc_src src = flat_rule_src(line->rule);

	printf("by %s (%s:%d)\n", flat_rule_name(line->rule, name, sizeof(name)),
	       src.file ? src.file : "?", src.line);
}

static void print_verdict(const struct explain *x)
{
	const struct explain_line *line = winner(x, false);

	printf("verdict      %s ", verdict_name(x->verdict));
	if (line)
		print_by(line);
	else
		puts(x->binding.n ? "as no rule matches" : "as no policy selects the pod");
}

static void print_identity(const struct explain *x)
{
	const struct explain_line *line = winner(x, true);

	printf("identity     ");
	if (!line) {
		puts("the node's own way, as no rule that matches has a via");
		return;
	}
	if (x->addr)
		printf("%s of gateway %s, owned by %s%s, ", addr_str(x->addr->addr),
		       x->addr->gateway, x->addr->owner, x->addr->local ? " (this node)" : "");
	else if (x->id)
		printf("gateway %s, ", x->id->gateway);
	else
		printf("the node's own way, ");
	print_by(line);
}

static void print_outcome(const struct explain *x)
{
	if (x->suspended)
		printf("audit        SluiceConfig's audit is on: it would be dropped otherwise\n");
	if (x->reason)
		printf("outcome      dropped: %s (%s)\n", drop_reason_name(x->reason),
		       drop_reason_text(x->reason));
	else if (x->addr)
		printf("outcome      leaves as %s\n", addr_str(x->addr->addr));
	else
		printf("outcome      leaves as the node\n");
}

static void print_kernel(const struct kernel_answer *k)
{
	if (k->agrees)
		puts("kernel       the program in force says the same");
	else if (k->asked)
		printf("kernel       THE PROGRAM IN FORCE DISAGREES: %s\n", k->text);
	else
		printf("kernel       not asked: %s\n", k->text);
}

static void print_lines(const struct explain *x)
{
	static const char *const head[] = {"STEP", "RULE", "ACTION", "VIA", "VERDICT", "IDENTITY"};
	__cleanup(table_freep) struct table *t = table_new(head, 6);

	for (size_t i = 0; i < x->n_lines; i++) {
		const struct explain_line *line = &x->lines[i];
		char name[NAME_LEN];
		const char *cells[] = {policy_step_name(line->rule->step),
				       flat_rule_name(line->rule, name, sizeof(name)),
				       rule_action_name(action_of(line->rule)),
				       via_text(line->rule),
				       explain_verdict_text(line),
				       explain_identity_text(line)};

		table_row(t, cells);
	}
	if (x->n_lines) {
		putchar('\n');
		table_print(t);
	}
}

static void print_answer(const struct answer *a)
{
	const struct explain *x = a->x;

	printf("pod          %s/%s", a->q->pod.namespace, a->q->pod.name);
	if (a->rec)
		printf(" on %s", a->rec->ifname);
	for (size_t i = 0; i < a->q->pod.labels.n; i++)
		printf("%s%s=%s", i ? ", " : " (", a->q->pod.labels.items[i].key,
		       a->q->pod.labels.items[i].value);
	printf("%s\ndestination  %s %s: %s", a->q->pod.labels.n ? ")" : "", addr_str(a->q->dst),
	       a->l4, explain_scope_text(x->scope));
	printf(x->scope == EXPLAIN_INSIDE ? " (%s)\n" : "\n", cidr_str(x->inside));
	if (!governed(x)) {
		print_kernel(a->kernel);
		return;
	}
	if (x->undecided) {
		puts("verdict      undecided: the pod's labels are not known");
	} else {
		print_verdict(x);
		print_identity(x);
	}
	print_outcome(x);
	print_kernel(a->kernel);
	print_lines(x);
}

/* ---- JSON ---- */

static void rule_set(struct json *o, const char *key, const struct explain_line *line)
{
	struct doc_src src;
	char name[NAME_LEN];
	struct json *r;

	if (!line) {
		json_set(o, key, json_new_null());
		return;
	}
	src = flat_rule_src(line->rule);
	r = json_new_object();
	json_set(r, "rule", json_new_string(flat_rule_name(line->rule, name, sizeof(name))));
	json_set(r, "file", json_new_string(src.file));
	json_set(r, "line", json_new_int(src.line));
	json_set(o, key, r);
}

static struct json *lines_json(const struct explain *x)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < x->n_lines; i++) {
		const struct explain_line *line = &x->lines[i];
		struct doc_src src = flat_rule_src(line->rule);
		struct json *o = json_new_object();
		char name[NAME_LEN];

		json_set(o, "step", json_new_string(policy_step_name(line->rule->step)));
		json_set(o, "policy", json_new_string(policy_title(line->rule->policy)));
		json_set(o, "rule",
			 json_new_string(flat_rule_name(line->rule, name, sizeof(name))));
		json_set(o, "action", json_new_string(rule_action_name(action_of(line->rule))));
		json_set(o, "via", json_new_string(via_text(line->rule)));
		json_set(o, "verdict", json_new_string(explain_verdict_text(line)));
		json_set(o, "identity", json_new_string(explain_identity_text(line)));
		json_set(o, "file", json_new_string(src.file));
		json_set(o, "line", json_new_int(src.line));
		json_append(list, o);
	}
	return list;
}

static struct json *kernel_json(const struct kernel_answer *k)
{
	struct json *o = json_new_object();

	json_set(o, "asked", json_new_bool(k->asked));
	json_set(o, "agrees", k->asked ? json_new_bool(k->agrees) : json_new_null());
	json_set(o, "message", json_new_string(*k->text ? k->text : NULL));
	return o;
}

static struct json *answer_json(const struct answer *a)
{
	struct json *o = json_new_object(), *labels = json_new_object();
	const struct explain *x = a->x;

	for (size_t i = 0; i < a->q->pod.labels.n; i++)
		json_set(labels, a->q->pod.labels.items[i].key,
			 json_new_string(a->q->pod.labels.items[i].value));
	json_set(o, "namespace", json_new_string(a->q->pod.namespace));
	json_set(o, "pod", json_new_string(a->q->pod.name));
	json_set(o, "interface", json_new_string(a->rec ? a->rec->ifname : NULL));
	json_set(o, "labels", labels);
	json_set(o, "destination", json_new_string(addr_str(a->q->dst)));
	json_set(o, "ports", json_new_string(a->l4));
	json_set(o, "scope", json_new_string(explain_scope_text(x->scope)));
	json_set(o, "governed", json_new_bool(governed(x)));
	json_set(o, "undecided", json_new_bool(x->undecided));
	json_set(o, "verdict", json_new_string(verdict_name(x->verdict)));
	rule_set(o, "verdictBy", winner(x, false));
	rule_set(o, "identityBy", winner(x, true));
	json_set(o, "gateway", json_new_string(x->id ? x->id->gateway : NULL));
	json_set(o, "address", json_new_string(x->addr ? addr_str(x->addr->addr) : NULL));
	json_set(o, "owner", json_new_string(x->addr ? x->addr->owner : NULL));
	json_set(o, "dropped", json_new_bool(x->reason != SLU_OK));
	json_set(o, "reason", json_new_string(x->reason ? drop_reason_name(x->reason) : NULL));
	json_set(o, "suspendedByAudit", json_new_bool(x->suspended));
	json_set(o, "kernel", kernel_json(a->kernel));
	json_set(o, "rules", lines_json(x));
	return o;
}

/* ---- one attachment ---- */

struct asked {
	struct ctl *ctl;
	const struct view *view;
	struct destination dest;
	struct json *out;
	size_t n;	 /* answers so far */
	uint32_t *names; /* compiled_names that --fqdn is one of */
	size_t n_names;
	const char *imagined; /* why the kernel cannot be asked: another time, other labels */
	bool disagrees;
};

static int tell(struct asked *k, struct explain_query *q, const struct record *rec, uint32_t lo,
		uint32_t hi)
{
	__cleanup(explain_freep) struct explain *x = NULL;
	struct kernel_answer kernel = {0};
	struct answer a = {
		.view = k->view, .q = q, .rec = rec, .l4 = l4_text(lo, hi), .kernel = &kernel};
	int r;

	q->l4_key = lo;
	r = policy_explain(k->view->compiled, q, &x);
	if (r < 0)
		return r;
	a.x = x;
	if (k->imagined)
		snprintf(kernel.text, sizeof(kernel.text), "%s", k->imagined);
	else
		kernel_ask(&k->ctl->conf, q, x, rec, &kernel);
	k->disagrees |= kernel.asked && !kernel.agrees;
	if (!k->ctl->json && k->n)
		putchar('\n');
	if (k->ctl->json)
		json_append(k->out, answer_json(&a));
	else
		print_answer(&a);
	k->n++;
	return 0;
}

static bool is_judged(const struct asked *k, struct explain_query *q)
{
	__cleanup(explain_freep) struct explain *x = NULL;

	q->l4_key = k->dest.lo;
	return policy_explain(k->view->compiled, q, &x) == 0 && governed(x);
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

static int tell_pod(struct asked *k, const struct record *rec, bool on_record)
{
	__cleanup(pod_subject_done) struct pod_info pod = {0};
	struct explain_query q = {.dst = k->dest.addr, .names = k->names, .n_names = k->n_names};

	pod_subject(&k->view->image, rec, &pod);
	q.pod = pod;
	for (size_t i = 0; i < k->ctl->conf.n_source_exempt; i++)
		if (strcmp(k->ctl->conf.source_exempt[i], pod.namespace) == 0)
			q.source_exempt = true;
	if (k->dest.lo != k->dest.hi)
		return tell_ranges(k, &q, on_record ? rec : NULL);
	return tell(k, &q, on_record ? rec : NULL, k->dest.lo, k->dest.hi);
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

/* A pod that has no record here: who it would be. */
static int tell_stranger(struct asked *k, const char *namespace, const char *name, struct err *e)
{
	__cleanup_free char *ns = mem_strdup(namespace), *pod = mem_strdup(name), *given = NULL;
	struct record rec = {.namespace = ns, .pod = pod};
	struct labels labels = {0};
	int r;

	if (k->ctl->labels) {
		given = labels_json(k->ctl->labels);
		if (!given)
			return err_set(e, -EINVAL, "--labels '%s': expected key=value,…",
				       k->ctl->labels);
	} else if (image_pod_labels(&k->view->image, ns, pod, &labels) == 0) {
		labels_done(&labels);
	} else {
		fprintf(stderr, "sluicectl: %s: judged without labels (--labels)\n",
			records_unreadable(k->view)
				? k->view->records_err.msg
				: "no attachment of that pod is on record here");
	}
	rec.labels = given;
	r = tell_pod(k, &rec, false);
	return r < 0 ? err_sys(e, r, "explain") : 0;
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
		return err_sys(e, r, "explain");
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

static int names_find(struct asked *k, struct err *e)
{
	char name[FQDN_MAX + 1];
	const char *const *all, *why;
	size_t n;

	if (!k->ctl->fqdn)
		return 0;
	if (fqdn_check(k->ctl->fqdn, name, &why) < 0)
		return err_set(e, -EINVAL, "--fqdn '%s': %s", k->ctl->fqdn, why);
	all = compiled_names(k->view->compiled, &n);
	for (uint32_t i = 0; i < n; i++) {
		if (!fqdn_matches(all[i], name))
			continue;
		MEM_GROW(k->names, k->n_names);
		k->names[k->n_names++] = i;
	}
	return 0;
}

static int run(struct ctl *ctl)
{
	int64_t at = time(NULL);

	__cleanup(view_done) struct view v = {0};
	__cleanup_json struct json *out = json_new_array();
	__cleanup_free char *namespace = mem_strdup(ctl->args[0]);
	struct asked k = {.ctl = ctl, .view = &v, .out = out};
	char *slash = strchr(namespace, '/');
	struct err e = {0};
	int r;

	if (ctl->at && !doc_moment(ctl->at, &at))
		err_set(&e, -EINVAL, "--at '%s': expected a time like 2026-12-24T18:00:00Z",
			ctl->at);
	if (e.code || dest_parse(ctl, &k.dest, &e) < 0) {
		ctl_fail(&e);
		return CTL_USAGE;
	}
	k.imagined = ctl->at	   ? "it was asked for another time"
		     : ctl->labels ? "it was asked for other labels"
		     : ctl->fqdn   ? "it was asked for a name"
				   : NULL;
	if (slash)
		*slash = 0;
	if (view_open(&ctl->conf, at, &v, &e) < 0)
		return ctl_fail(&e);
	view_warn(&v);
	r = names_find(&k, &e);
	if (r == 0)
		r = tell_all(&k, slash ? namespace : "default", slash ? slash + 1 : namespace, &e);
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

const struct verb verb_explain = {
	.name = "explain",
	.run = run,
	.min_args = 2,
	.max_args = 2,
	.help = "explain POD DEST[:PORT][/PROTO] [OPTION]…\n"
		"what becomes of a packet, by which rule, and why not by the others\n"
		"\n"
		"POD is NAMESPACE/NAME, or a name in namespace default. DEST is an address; an "
		"IPv6\n"
		"one with a port stands in brackets. PROTO is TCP (default with a port), UDP, "
		"SCTP,\n"
		"ICMP, ICMPv6 (PORT is then the type) or a number. Without a port there is one\n"
		"answer for each range of ports that has another one. Sends nothing; needs "
		"neither\n"
		"root nor a daemon, but without root the pods on record may be unreadable.\n"
		"\n"
		"  --proto P, --port N  the same as in DEST\n"
		"  --at TIME            as it will be, or was, at that time "
		"(2026-12-24T18:00:00Z)\n"
		"  --fqdn NAME          as if DEST had been learned as an address of that name\n"
		"  --labels K=V,…       judge a pod with these labels, whether it exists or not\n"
		"\n"
		"As root, for a pod that runs here, the BPF program in force is asked the same by\n"
		"a test run that leaves no trace; exit status 1 if it says anything else.\n"
		"\n",
};
