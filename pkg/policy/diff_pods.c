/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/diff_priv.h"

#define LABEL_POD "sluice.dev/pod" /* implied: nobody else's to give */

static void labels_copy(struct labels *to, const struct labels *from)
{
	for (size_t i = 0; i < from->n; i++)
		labels_set(to, from->items[i].key, from->items[i].value);
}

static struct diff_pod *add(struct diff_pods *p, const char *namespace, const char *name)
{
	MEM_GROW(p->list, p->n);
	p->list[p->n] = (struct diff_pod){.namespace = namespace, .name = name};
	return &p->list[p->n++];
}

static void finish(struct diff_pod *pod)
{
	pod->title = mem_printf("%s/%s", pod->namespace, pod->name);
	for (int i = 0; i < 2; i++)
		labels_set(&pod->labels[i], LABEL_POD, pod->name);
}

static void add_given(struct diff_pods *p, const struct pod_info *info)
{
	struct diff_pod *pod = add(p, info->namespace, info->name);

	for (int i = 0; i < 2; i++)
		labels_copy(&pod->labels[i], &info->labels);
	finish(pod);
}

/* ---- the Pods of both sets: each is sorted ---- */

static int cmp_docs(const struct doc_pod *a, const struct doc_pod *b)
{
	int c;

	if (!a || !b)
		return a ? -1 : 1;
	c = strcmp(a->meta.namespace, b->meta.namespace);
	return c ? c : strcmp(a->meta.name, b->meta.name);
}

/* Who is in one set only has the same labels in the other. */
static void add_docs(struct diff_pods *p, const struct doc_pod *before, const struct doc_pod *after)
{
	const struct doc_pod *any = after ? after : before;
	struct diff_pod *pod;

	if (any->host_network)
		return;
	pod = add(p, any->meta.namespace, any->meta.name);
	pod->node = any->node_name;
	labels_copy(&pod->labels[0], &(before ? before : after)->meta.labels);
	labels_copy(&pod->labels[1], &any->meta.labels);
	finish(pod);
}

static void add_all_docs(struct diff_pods *p, const struct doc_set *a, const struct doc_set *b)
{
	size_t i = 0, k = 0;

	while (i < a->n_pods || k < b->n_pods) {
		const struct doc_pod *x = i < a->n_pods ? a->pods[i] : NULL;
		const struct doc_pod *y = k < b->n_pods ? b->pods[k] : NULL;
		int c = cmp_docs(x, y);

		add_docs(p, c <= 0 ? x : NULL, c >= 0 ? y : NULL);
		i += c <= 0;
		k += c >= 0;
	}
}

/* ---- imagined pods: the least that a subject asks for ---- */

static void imagine_labels(struct labels *labels, const struct selector *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->reqs[i].op == SEL_IN)
			labels_set(labels, s->reqs[i].key, s->reqs[i].values[0]);
		else if (s->reqs[i].op == SEL_EXISTS && !labels_get(labels, s->reqs[i].key))
			labels_set(labels, s->reqs[i].key, "any");
	}
}

static char *labels_text(const char *namespace, const struct labels *labels)
{
	char *text = mem_printf("%s:", namespace);

	for (size_t i = 0; i < labels->n; i++) {
		char *longer = mem_printf("%s%s%s=%s", text, i ? "," : " ", labels->items[i].key,
					  labels->items[i].value);

		free(text);
		text = longer;
	}
	if (labels->n)
		return text;
	free(text);
	return mem_printf("%s: any", namespace);
}

/* All pods are imagined ones then: an entry of titles is a place in the list. */
static bool is_imagined(const struct diff_pods *p, const char *title)
{
	uint32_t i = hash_index_first(&p->titles, hash_str(title, 0));

	while (i != HASH_INDEX_END && strcmp(p->list[i].title, title) != 0)
		i = hash_index_next(&p->titles, i);
	return i != HASH_INDEX_END;
}

static void imagine(struct diff_pods *p, const char *namespace, const struct selector *s)
{
	struct labels labels = {0};
	struct diff_pod *pod;
	char *title;

	imagine_labels(&labels, s);
	title = labels_text(namespace, &labels);
	if (is_imagined(p, title)) {
		labels_done(&labels);
		free(title);
		return;
	}
	hash_index_add(&p->titles, hash_str(title, 0));
	pod = add(p, namespace, "");
	pod->title = title;
	pod->labels[0] = labels;
	labels_copy(&pod->labels[1], &labels);
}

static void imagine_services(struct diff_pods *p, const struct doc_set *set,
			     const struct doc_policy *policy)
{
	for (size_t i = 0; i < policy->n_services; i++)
		for (size_t k = 0; k < set->n_services; k++) {
			const struct doc_service *s = &set->services[k];

			if (s->selector.present &&
			    strcmp(s->meta.namespace, policy->meta.namespace) == 0 &&
			    strcmp(s->meta.name, policy->services[i]) == 0)
				imagine(p, s->meta.namespace, &s->selector);
		}
}

/* Of a cluster policy: in every namespace that is named anywhere and that it selects. */
static void imagine_cluster(struct diff_pods *p, const struct doc_set *set,
			    const struct doc_policy *policy)
{
	const struct selector *s = &policy->namespaces;

	if (!s->present || namespace_selected(set, "default", s))
		imagine(p, "default", &policy->pods);
	for (size_t i = 0; i < set->n_namespaces; i++)
		if (!s->present || namespace_selected(set, set->namespaces[i].meta.name, s))
			imagine(p, set->namespaces[i].meta.name, &policy->pods);
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct doc_meta *m = &set->policies[i]->meta;

		if (m->kind == DOC_EGRESS_POLICY &&
		    (!s->present || namespace_selected(set, m->namespace, s)))
			imagine(p, m->namespace, &policy->pods);
	}
}

static void imagine_all(struct diff_pods *p, const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct doc_policy *policy = set->policies[i];

		if (policy->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
			imagine_cluster(p, set, policy);
		else if (policy->n_services)
			imagine_services(p, set, policy);
		else
			imagine(p, policy->meta.namespace, &policy->pods);
	}
}

void diff_pods_init(struct diff_pods *p, const struct diff_input *in)
{
	*p = (struct diff_pods){0};
	for (size_t i = 0; i < in->n_pods; i++)
		add_given(p, &in->pods[i]);
	if (!in->n_pods)
		add_all_docs(p, in->old_set, in->new_set);
	if (p->n)
		return;
	imagine_all(p, in->old_set);
	imagine_all(p, in->new_set);
}

void diff_pods_done(struct diff_pods *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->list[i].title);
		labels_done(&p->list[i].labels[0]);
		labels_done(&p->list[i].labels[1]);
	}
	free(p->list);
	hash_index_done(&p->titles);
	*p = (struct diff_pods){0};
}
