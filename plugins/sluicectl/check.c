/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says before anything runs what the daemon would say. The daemon names the first mistake; here
 * each file, and each document of one with a mistake, is judged by itself and to its end, so that
 * one mistake does not hide others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "docs.h"
#include "policy/doc.h"
#include "policy/missing.h"
#include "source/folder.h"
#include "view.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

struct check {
	struct doc_set *all;
	char **errors, **warnings;
	size_t n_errors, n_warnings, n_files;
};

static void check_done(struct check *c)
{
	doc_set_free(c->all);
	for (size_t i = 0; i < c->n_errors; i++)
		free(c->errors[i]);
	for (size_t i = 0; i < c->n_warnings; i++)
		free(c->warnings[i]);
	free(c->errors);
	free(c->warnings);
}

static void add_error(struct check *c, const char *text)
{
	for (size_t i = 0; i < c->n_errors; i++)
		if (strcmp(c->errors[i], text) == 0)
			return;
	MEM_GROW(c->errors, c->n_errors);
	c->errors[c->n_errors++] = mem_strdup(text);
}

static void warn_at(struct check *c, const struct doc_src *src, const char *kind, const char *text)
{
	MEM_GROW(c->warnings, c->n_warnings);
	c->warnings[c->n_warnings++] = mem_printf("%s:%d: %s: %s", doc_src_file(src) ?: "?",
						  doc_src_line(src), kind, text);
}

/* The place of a mistake is one in the file: as many lines as stand before the document. */
static size_t check_document(struct check *c, const char *path, const struct doc_piece *p)
{
	__cleanup(doc_mistakes_done) struct doc_mistakes found;
	size_t before = (size_t)p->before;
	__cleanup_free char *text = mem_resize(NULL, before + p->len + 1, 1);

	memset(text, '\n', before);
	memcpy(text + before, p->text, p->len);
	doc_text_mistakes(path, text, before + p->len, &found);
	for (size_t i = 0; i < found.n; i++)
		add_error(c, found.items[i]);
	return found.n;
}

static void check_documents(struct check *c, const char *path, const char *data, size_t len)
{
	__cleanup_free struct doc_piece *list = NULL;
	size_t n = doc_text_pieces(path, data, len, &list), told = 0;

	for (size_t i = 0; i < n && told < DOC_MAX_MISTAKES; i++) {
		__cleanup(doc_set_freep) struct doc_set *alone = doc_set_new();

		if (doc_set_add_text(alone, path, list[i].text, list[i].len, NULL) < 0)
			told += check_document(c, path, &list[i]);
	}
	if (told >= DOC_MAX_MISTAKES) {
		__cleanup_free char *more = mem_printf(
			"%s: there may be more: not looked for behind %d mistakes", path,
			DOC_MAX_MISTAKES);

		add_error(c, more);
	}
}

/* By itself first: what is wrong with the file alone; then into the whole, for the rest. */
static void check_text(struct check *c, const char *path, const char *data, size_t len)
{
	__cleanup(doc_set_freep) struct doc_set *alone = doc_set_new();
	struct err e = {0};

	c->n_files++;
	if (doc_set_add_text(alone, path, data, len, &e) < 0) {
		add_error(c, e.msg);
		check_documents(c, path, data, len);
		return;
	}
	if (doc_set_add_text(c->all, path, data, len, &e) < 0)
		add_error(c, e.msg);
}

static int check_folder(struct check *c, const char *path, struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r = folder_read(path, &f, e);

	if (r == 0)
		docs_warn_empty(path, &f);
	for (size_t i = 0; r == 0 && i < f.n; i++) {
		__cleanup_free char *name = mem_printf("%s/%s", path, f.files[i].name);

		check_text(c, name, f.files[i].data, f.files[i].len);
	}
	return r;
}

static int check_path(struct check *c, const char *path, struct err *e)
{
	__cleanup_free char *data = NULL;
	struct stat st;
	size_t len;
	int r;

	if (stat(path, &st) < 0)
		return err_sys(e, -errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return check_folder(c, path, e);
	r = atomic_file_load(AT_FDCWD, path, FOLDER_MAX_FILE, &data, &len, e);
	if (r == 0)
		check_text(c, path, data, len);
	return r;
}

/* ---- what is valid and yet surely not meant ---- */

static void lint_missing(struct check *c)
{
	__cleanup_free struct missing *list = NULL;
	size_t n = 0;

	policy_missing(c->all, &list, &n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *text = missing_text(&list[i]);

		warn_at(c, &list[i].src, policy_title(list[i].policy), text);
	}
}

/* Behind a Pass for everything the rest of the policy's rules cannot give a verdict. */
static void lint_pass(struct check *c, const struct doc_policy *p)
{
	bool passed = false;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct doc_rule *r = &p->rules[i];

		if (passed && r->action != ACTION_NONE) {
			warn_at(c, &r->src, "rules",
				"never reached: a Pass on everything leaves the step before it");
			return;
		}
		passed = passed || (r->action == ACTION_PASS && !r->n_to && !r->n_ports);
	}
}

static void lint(struct check *c)
{
	for (size_t i = 0; i < c->all->n_policies; i++) {
		const struct doc_policy *p = c->all->policies[i];

		if (!p->n_rules && !p->has_default)
			warn_at(c, &p->meta.src, policy_title(p),
				"no rules and no default: it has no effect");
		lint_pass(c, p);
	}
	lint_missing(c);
}

/* ---- the answer ---- */

static struct json *list_of(char *const *items, size_t n)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_append(list, json_new_string(items[i]));
	return list;
}

static void print_check(const struct ctl *ctl, const struct check *c)
{
	__cleanup_json struct json *o = NULL;

	if (ctl->json) {
		o = json_new_object();
		json_set(o, "valid", json_new_bool(c->n_errors == 0));
		json_set(o, "files", json_new_int((int64_t)c->n_files));
		json_set(o, "errors", list_of(c->errors, c->n_errors));
		json_set(o, "warnings", list_of(c->warnings, c->n_warnings));
		ctl_print_json(o);
		return;
	}
	for (size_t i = 0; i < c->n_errors; i++)
		puts(c->errors[i]);
	for (size_t i = 0; i < c->n_warnings; i++)
		printf("warning: %s\n", c->warnings[i]);
	if (!c->n_errors)
		printf("valid: %zu file%s, %zu gateway%s, %zu polic%s\n", c->n_files,
		       c->n_files == 1 ? "" : "s", c->all->n_gateways,
		       c->all->n_gateways == 1 ? "" : "s", c->all->n_policies,
		       c->all->n_policies == 1 ? "y" : "ies");
}

static int run(struct ctl *ctl)
{
	__cleanup(check_done) struct check c = {.all = doc_set_new()};
	struct err e = {0};

	for (int i = 0; i < (ctl->n_args ? ctl->n_args : 1); i++)
		if (check_path(&c, ctl->n_args ? ctl->args[i] : ctl->conf.policy_dir, &e) < 0)
			return ctl_fail(&e);
	if (doc_set_finish(c.all, &e) < 0)
		add_error(&c, e.msg);
	if (!c.n_errors)
		lint(&c);
	print_check(ctl, &c);
	return c.n_errors ? CTL_FAILED : CTL_OK;
}

const struct verb verb_check_config = {
	.name = "check-config",
	.run = run,
	.max_args = 1000,
	.help = "check-config [PATH]… [OPTION]…\n"
		"check policy files before they are in force\n"
		"\n"
		"PATH is a file or a folder (default: the policy folder). All of them are judged\n"
		"together; /dev/stdin may be one. Every mistake is named with its line. Needs\n"
		"neither root nor a daemon. Exit status 1 if anything is invalid.\n"
		"\n",
};
