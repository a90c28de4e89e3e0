/* SPDX-License-Identifier: Apache-2.0 */
#include "explain_answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "bpf/maps.h"
#include "text.h"

#define NAME_LEN (2 * DOC_MAX_NAME + 64)

bool explain_governed(const struct explain *x)
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

/* ---- text ---- */

/* Objects of an API have no place but their name. */
static bool has_place(const struct view *v)
{
	return !v->policies.objects;
}

static void print_by(const struct view *v, const struct explain_line *line)
{
	char name[NAME_LEN];
	struct doc_src src = flat_rule_src(line->rule);

	printf("by %s", flat_rule_name(line->rule, name, sizeof(name)));
	if (has_place(v))
		printf(" (%s:%d)", doc_src_file(&src) ?: "?", doc_src_line(&src));
	putchar('\n');
}

static void place_set(struct json *o, const struct view *v, const struct doc_src *src)
{
	bool has = has_place(v);

	json_set(o, "file", json_new_string(has ? doc_src_file(src) : NULL));
	json_set(o, "line", has ? json_new_int(doc_src_line(src)) : json_new_null());
}

static void print_verdict(const struct answer *a)
{
	const struct explain *x = a->x;
	const struct explain_line *line = winner(x, false);

	printf("verdict      %s ", verdict_name(x->verdict));
	if (line)
		print_by(a->view, line);
	else
		puts(x->binding.n ? "as no rule matches" : "as no policy selects the pod");
}

/* ", owned by gw1 (this node)"; of a cluster ", carried by gw1 for 5m" */
static void print_owner(const struct answer *a)
{
	const struct egress_addr *addr = a->x->addr;
	const char *owner = view_owner(a->view, addr), *since;
	char ago[AGO_MAX];

	if (!a->view->carriers) {
		printf(", owned by %s%s", owner, addr->local ? " (this node)" : "");
		return;
	}
	since = since_text(view_since(a->view, addr), ago);
	if (owner)
		printf(", carried by %s%s%s", owner, since ? " for " : "", since ?: "");
	else
		printf(", which no node reports to carry (%s should)", addr->owner ?: "no node");
}

static void print_identity(const struct answer *a)
{
	const struct explain *x = a->x;
	const struct explain_line *line = winner(x, true);

	printf("identity     ");
	if (!line) {
		puts("the node's own way, as no rule that matches has a via");
		return;
	}
	if (x->addr) {
		printf("%s of gateway %s", addr_str(x->addr->addr), x->addr->gateway);
		print_owner(a);
		printf(", ");
	} else if (x->by_flow) {
		printf("one address of gateway %s for each connection, ", x->id->gateway);
	} else if (x->id) {
		printf("gateway %s, ", x->id->gateway);
	} else {
		printf("the node's own way, ");
	}
	print_by(a->view, line);
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
	else if (x->by_flow)
		printf("outcome      leaves as one of the addresses of gateway %s, by connection\n",
		       x->id->gateway);
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
				       rule_action_text(line->rule),
				       rule_via_text(line->rule),
				       explain_verdict_text(line),
				       explain_identity_text(line)};

		table_row(t, cells);
	}
	if (x->n_lines) {
		putchar('\n');
		table_print(t);
	}
}

static const char *known_as(const struct answer *a, size_t i)
{
	size_t n;

	return compiled_names(a->view->compiled, &n)[a->q->names[i]];
}

void explain_print(const struct answer *a)
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
	if (x->service)
		printf("judged as    %s:%u, which Service %s/%s leads to\n",
		       addr_str(x->service->endpoints[0].addr),
		       x->service->endpoints[0].l4_key & 0xffff, x->service->meta->namespace,
		       x->service->meta->name);
	for (size_t i = 0; i < a->q->n_names; i++)
		printf("%s%s%s", i ? ", " : "known as     ", known_as(a, i),
		       i + 1 == a->q->n_names ? "\n" : "");
	if (!explain_governed(x)) {
		if (x->reason)
			print_outcome(x);
		print_kernel(a->kernel);
		return;
	}
	if (x->undecided) {
		puts("verdict      undecided: the pod's labels are not known");
	} else {
		print_verdict(a);
		print_identity(a);
	}
	print_outcome(x);
	print_kernel(a->kernel);
	print_lines(x);
}

/* ---- JSON ---- */

static void rule_set(struct json *o, const struct view *v, const char *key,
		     const struct explain_line *line)
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
	place_set(r, v, &src);
	json_set(o, key, r);
}

static struct json *lines_json(const struct answer *a)
{
	const struct explain *x = a->x;
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
		json_set(o, "action", json_new_string(rule_action_text(line->rule)));
		json_set(o, "via", json_new_string(rule_via_text(line->rule)));
		json_set(o, "verdict", json_new_string(explain_verdict_text(line)));
		json_set(o, "identity", json_new_string(explain_identity_text(line)));
		place_set(o, a->view, &src);
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

static struct json *service_json(const struct compiled_service *s)
{
	struct json *o = json_new_object(), *list = json_new_array();

	json_set(o, "namespace", json_new_string(s->meta->namespace));
	json_set(o, "name", json_new_string(s->meta->name));
	for (size_t i = 0; i < s->n; i++) {
		__cleanup_free char *text = NULL;

		text = mem_printf(addr_is_v4(s->endpoints[i].addr) ? "%s:%u" : "[%s]:%u",
				  addr_str(s->endpoints[i].addr), s->endpoints[i].l4_key & 0xffff);
		json_append(list, json_new_string(text));
	}
	json_set(o, "endpoints", list);
	return o;
}

struct json *explain_json(const struct answer *a)
{
	struct json *o = json_new_object(), *labels = json_new_object();
	struct json *names = json_new_array();
	const struct explain *x = a->x;

	for (size_t i = 0; i < a->q->n_names; i++)
		json_append(names, json_new_string(known_as(a, i)));
	for (size_t i = 0; i < a->q->pod.labels.n; i++)
		json_set(labels, a->q->pod.labels.items[i].key,
			 json_new_string(a->q->pod.labels.items[i].value));
	json_set(o, "namespace", json_new_string(a->q->pod.namespace));
	json_set(o, "pod", json_new_string(a->q->pod.name));
	json_set(o, "interface", json_new_string(a->rec ? a->rec->ifname : NULL));
	json_set(o, "labels", labels);
	json_set(o, "destination", json_new_string(addr_str(a->q->dst)));
	json_set(o, "ports", json_new_string(a->l4));
	json_set(o, "service", x->service ? service_json(x->service) : json_new_null());
	json_set(o, "names", names);
	json_set(o, "scope", json_new_string(explain_scope_text(x->scope)));
	json_set(o, "governed", json_new_bool(explain_governed(x)));
	json_set(o, "undecided", json_new_bool(x->undecided));
	json_set(o, "verdict", json_new_string(verdict_name(x->verdict)));
	rule_set(o, a->view, "verdictBy", winner(x, false));
	rule_set(o, a->view, "identityBy", winner(x, true));
	json_set(o, "gateway", json_new_string(x->id ? x->id->gateway : NULL));
	json_set(o, "address", json_new_string(x->addr ? addr_str(x->addr->addr) : NULL));
	json_set(o, "byConnection", json_new_bool(x->by_flow && !x->reason));
	json_set(o, "owner", json_new_string(x->addr ? view_owner(a->view, x->addr) : NULL));
	json_set(o, "dropped", json_new_bool(x->reason != SLU_OK));
	json_set(o, "reason", json_new_string(x->reason ? drop_reason_name(x->reason) : NULL));
	json_set(o, "suspendedByAudit", json_new_bool(x->suspended));
	json_set(o, "kernel", kernel_json(a->kernel));
	json_set(o, "rules", lines_json(a));
	return o;
}
