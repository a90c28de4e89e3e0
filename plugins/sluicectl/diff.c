/* SPDX-License-Identifier: Apache-2.0 */
/* diff OLD NEW: which decisions change when a folder of policies takes another's place. */
#include "policy/diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "destination.h"
#include "docs.h"

#define SHOWN_PREFIXES 4
#define SHOWN_PODS     4

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

enum { SAME = 0, DIFFERENT = 1, TROUBLE = 2 }; /* as diff(1) */

/* ---- text ---- */

/* "a, b, c, d and 7 more" */
static char *list_text(const char *(*item)(const void *list, size_t i), const void *list, size_t n,
		       size_t shown)
{
	char *text = mem_strdup("");

	for (size_t i = 0; i < n && i < shown; i++) {
		char *longer = mem_printf("%s%s%s", text, i ? ", " : "", item(list, i));

		free(text);
		text = longer;
	}
	if (n > shown) {
		char *longer = mem_printf("%s and %zu more", text, n - shown);

		free(text);
		text = longer;
	}
	return text;
}

static const char *pod_at(const void *list, size_t i)
{
	return ((char *const *)list)[i];
}

static const char *prefix_at(const void *list, size_t i)
{
	return cidr_str(((const struct cidr *)list)[i]);
}

static char *destination_text(const struct diff_change *c)
{
	__cleanup_free char *prefixes = list_text(prefix_at, c->prefixes, c->n_prefixes,
						  SHOWN_PREFIXES);

	return c->name ? mem_printf("%s at %s", c->name, prefixes) : mem_strdup(prefixes);
}

static void print_group(const struct diff_group *g)
{
	static const char *const head[] = {"DESTINATION", "PORTS", "BEFORE", "AFTER"};
	__cleanup(table_freep) struct table *t = table_new(head, 4);
	__cleanup_free char *pods = list_text(pod_at, g->pods, g->n_pods, SHOWN_PODS);

	for (size_t i = 0; i < g->n_changes; i++) {
		const struct diff_change *c = &g->changes[i];
		__cleanup_free char *to = destination_text(c);
		const char *cells[] = {to, l4_text(c->lo, c->hi), c->before, c->after};

		table_row(t, cells);
	}
	printf("%s\n", pods);
	table_print(t);
}

static void print_text(const struct diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (i)
			putchar('\n');
		print_group(&d->groups[i]);
	}
	if (!d->n)
		printf("no decision changes for %zu pod%s\n", d->n_pods, d->n_pods == 1 ? "" : "s");
}

/* ---- JSON ---- */

static struct json *change_json(const struct diff_change *c)
{
	struct json *o = json_new_object(), *prefixes = json_new_array();

	for (size_t i = 0; i < c->n_prefixes; i++)
		json_append(prefixes, json_new_string(cidr_str(c->prefixes[i])));
	json_set(o, "name", json_new_string(c->name));
	json_set(o, "prefixes", prefixes);
	json_set(o, "ports", json_new_string(l4_text(c->lo, c->hi)));
	json_set(o, "before", json_new_string(c->before));
	json_set(o, "after", json_new_string(c->after));
	return o;
}

static struct json *group_json(const struct diff_group *g)
{
	struct json *o = json_new_object(), *pods = json_new_array(), *changes = json_new_array();

	for (size_t i = 0; i < g->n_pods; i++)
		json_append(pods, json_new_string(g->pods[i]));
	for (size_t i = 0; i < g->n_changes; i++)
		json_append(changes, change_json(&g->changes[i]));
	json_set(o, "pods", pods);
	json_set(o, "changes", changes);
	return o;
}

static void print_json(const struct diff *d)
{
	__cleanup_json struct json *o = json_new_object();
	struct json *groups = json_new_array();

	for (size_t i = 0; i < d->n; i++)
		json_append(groups, group_json(&d->groups[i]));
	json_set(o, "pods", json_new_int((int64_t)d->n_pods));
	json_set(o, "groups", groups);
	ctl_print_json(o);
}

/* ---- --pod and --labels ---- */

struct given_pod {
	struct pod_info info;
	char *namespace;
};

static void given_done(struct given_pod *g)
{
	free(g->namespace);
	labels_done(&g->info.labels);
}

/* "app=web,tier=db" */
static int labels_read(struct labels *labels, const char *text, struct err *e)
{
	__cleanup_free char *copy = mem_strdup(text);
	char *save = NULL;

	for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(s, '=');

		if (eq)
			*eq = 0;
		if (!eq || label_key_check(s) < 0 || label_value_check(eq + 1) < 0)
			return err_set(e, -EINVAL, "--labels '%s': expected key=value,…", text);
		labels_set(labels, s, eq + 1);
	}
	return 0;
}

/* Of a pod that is named without labels, those of its object. */
static void labels_find(struct given_pod *g, const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_pods; i++) {
		const struct doc_pod *p = set->pods[i];

		if (strcmp(p->meta.namespace, g->info.namespace) == 0 &&
		    strcmp(p->meta.name, g->info.name) == 0)
			for (size_t k = 0; k < p->meta.labels.n; k++)
				labels_set(&g->info.labels, p->meta.labels.items[k].key,
					   p->meta.labels.items[k].value);
	}
}

static int given_read(struct given_pod *g, const struct ctl *ctl, struct err *e)
{
	char *slash;

	if (!ctl->pod)
		return ctl->labels ? err_set(e, -EINVAL, "--labels: expected --pod with it") : 0;
	g->namespace = mem_strdup(ctl->pod);
	slash = strchr(g->namespace, '/');
	if (slash)
		*slash = 0;
	g->info = (struct pod_info){
		.namespace = slash ? g->namespace : "default",
		.name = slash ? slash + 1 : g->namespace,
		.labels_known = true,
	};
	return ctl->labels ? labels_read(&g->info.labels, ctl->labels, e) : 0;
}

/* ---- the verb ---- */

static int trouble(const struct err *e)
{
	ctl_fail(e);
	return TROUBLE;
}

static int run(struct ctl *ctl)
{
	__cleanup(doc_set_freep) struct doc_set *before = NULL, *after = NULL;
	__cleanup(given_done) struct given_pod given = {0};
	__cleanup(diff_done) struct diff d = {0};
	struct diff_input in = {0};
	struct err e = {0};

	if (given_read(&given, ctl, &e) < 0 || docs_read(ctl->args[0], &before, &e) < 0 ||
	    docs_read(ctl->args[1], &after, &e) < 0)
		return trouble(&e);
	in = (struct diff_input){
		.old_set = before,
		.new_set = after,
		.node = docs_node(ctl, (const struct doc_set *const[]){before, after}, 2),
		.pods = &given.info,
		.n_pods = ctl->pod ? 1 : 0,
	};
	if (ctl->pod && !ctl->labels) {
		labels_find(&given, before);
		labels_find(&given, after);
	}
	if (policy_diff(&in, &d, &e) < 0)
		return trouble(&e);
	if (ctl->json)
		print_json(&d);
	else
		print_text(&d);
	return d.n ? DIFFERENT : SAME;
}

const struct verb verb_diff = {
	.name = "diff",
	.run = run,
	.min_args = 2,
	.max_args = 2,
	.help = "diff OLD NEW [OPTION]…\n"
		"which decisions change when NEW replaces OLD\n"
		"\n"
		"OLD and NEW are folders or files of policies. For their Pods (or one made-up pod\n"
		"per subject, if there are none) every destination and port is compared, as of\n"
		"now. Shown is what changes, from which verdict and egress address to which.\n"
		"Destinations inside the cluster are left out. Exit status 0 if nothing changes,\n"
		"1 if something does, 2 in trouble. Needs neither root nor a daemon.\n"
		"\n"
		"  --pod NS/NAME        only this pod, whether it exists or not\n"
		"  --labels K=V,…       its labels (default: those of its object)\n"
		"\n",
};
