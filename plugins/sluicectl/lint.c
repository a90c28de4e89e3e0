/* SPDX-License-Identifier: Apache-2.0 */
/* What is valid in a folder of policies and surely not meant. */
#include "policy/lint.h"

#include <stdio.h>

#include "docs.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

static const char *level_name(enum lint_level level)
{
	return level == LINT_ERROR ? "error" : "warning";
}

static size_t count(const struct lint *l, enum lint_level level)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->list[i].level == level;
	return n;
}

static void print_json(const struct lint *l)
{
	__cleanup_json struct json *o = json_new_object();
	struct json *list = json_new_array();

	for (size_t i = 0; i < l->n; i++) {
		const struct lint_finding *f = &l->list[i];
		struct json *item = json_new_object();

		json_set(item, "level", json_new_string(level_name(f->level)));
		json_set(item, "check", json_new_string(f->check));
		json_set(item, "file", json_new_string(doc_src_file(&f->src)));
		json_set(item, "line", json_new_int(doc_src_line(&f->src)));
		json_set(item, "message", json_new_string(f->text));
		json_append(list, item);
	}
	json_set(o, "errors", json_new_int((int64_t)count(l, LINT_ERROR)));
	json_set(o, "warnings", json_new_int((int64_t)count(l, LINT_WARNING)));
	json_set(o, "findings", list);
	ctl_print_json(o);
}

static void print_text(const struct lint *l)
{
	for (size_t i = 0; i < l->n; i++)
		printf("%s:%d: %s: %s [%s]\n", doc_src_file(&l->list[i].src) ?: "?",
		       doc_src_line(&l->list[i].src), level_name(l->list[i].level), l->list[i].text,
		       l->list[i].check);
	if (!l->n)
		puts("no findings");
}

static int run(struct ctl *ctl)
{
	__cleanup(doc_set_freep) struct doc_set *set = NULL;
	__cleanup(lint_done) struct lint l = {0};
	struct node_view node;
	struct err e = {0};

	if (docs_read(ctl->n_args ? ctl->args[0] : ctl->conf.policy_dir, &set, &e) < 0)
		return ctl_fail(&e);
	node = docs_node(ctl, (const struct doc_set *const[]){set}, 1);
	if (policy_lint(set, &node, &l, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		print_json(&l);
	else
		print_text(&l);
	return count(&l, LINT_ERROR) || (ctl->strict && l.n) ? CTL_FAILED : CTL_OK;
}

const struct verb verb_lint = {
	.name = "lint",
	.run = run,
	.max_args = 1,
	.help = "lint [DIR] [OPTION]…\n"
		"find what is valid in policies, but surely not meant\n"
		"\n"
		"DIR is a folder or a file (default: the policy folder). Reports rules that\n"
		"others hide, that never match or whose time is over; destinations that no rule\n"
		"uses; what is missing; contradictions between a cluster's and a namespace's\n"
		"rules; names that may share an address. A via for a name while the default\n"
		"allows is an error. Exit status 1 for errors. Needs neither root nor a daemon.\n"
		"\n"
		"  --strict             exit status 1 for warnings, too\n"
		"\n",
};
