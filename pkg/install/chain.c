/* SPDX-License-Identifier: Apache-2.0 */
#include "install/chain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "install/conflist.h"

/* A file that could be the main list. */
struct candidate {
	const struct chain_file *file;
	struct json *list; /* NULL: err says why not */
	struct err err;
};

struct look {
	struct candidate *all; /* by name */
	size_t n;
	struct json *own;	    /* as it is there, else as it was written last; NULL */
	const char *own_text;	    /* of it */
	bool own_there;		    /* it is in the folder and whole */
	const struct candidate *of; /* whose copy own is; NULL: that is not there */
};

static void look_done(struct look *k)
{
	for (size_t i = 0; i < k->n; i++)
		json_free(k->all[i].list);
	free(k->all);
	json_free(k->own);
}

void chain_dir_done(struct chain_dir *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->files[i].name);
		free(d->files[i].text);
	}
	free(d->files);
	*d = (struct chain_dir){0};
}

void chain_plan_done(struct chain_plan *p)
{
	free(p->text);
}

static int file_parse(const struct chain_file *f, struct json **ret, struct err *e)
{
	int r;

	if (!f->text) {
		*e = f->err;
		return f->err.code;
	}
	r = conflist_parse(f->name, f->text, f->len, ret, e);
	return r < 0 ? err_wrap(e, "%s", f->name) : 0;
}

static void own_take(struct look *k, const struct chain_in *in, const struct chain_file *f)
{
	struct err e = {0};

	if (f && file_parse(f, &k->own, &e) == 0) {
		k->own_there = true;
		k->own_text = f->text;
	} else if (in->last &&
		   conflist_parse(CHAIN_FILE, in->last, strlen(in->last), &k->own, NULL) == 0) {
		k->own_text = in->last;
	}
}

static void candidate_add(struct look *k, const struct chain_file *f)
{
	struct candidate c = {.file = f};

	if (file_parse(f, &c.list, &c.err) == 0 && conflist_chainable(c.list, &c.err) < 0)
		err_wrap(&c.err, "%s", f->name);
	if (c.list && (conflist_delegates(c.list) || conflist_copy_of(c.list))) {
		json_free(c.list);
		return;
	}
	if (c.err.code) {
		json_free(c.list);
		c.list = NULL;
	}
	MEM_GROW(k->all, k->n);
	k->all[k->n++] = c;
}

static void look_at(struct look *k, const struct chain_in *in)
{
	const struct chain_file *own = NULL;
	const char *of;

	for (size_t i = 0; i < in->dir->n; i++) {
		if (strcmp(in->dir->files[i].name, CHAIN_FILE) == 0)
			own = &in->dir->files[i];
		else
			candidate_add(k, &in->dir->files[i]);
	}
	own_take(k, in, own);
	of = conflist_copy_of(k->own);
	for (size_t i = 0; of && i < k->n; i++)
		if (strcmp(k->all[i].file->name, of) == 0)
			k->of = &k->all[i];
}

static const struct candidate *first_whole(const struct look *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->all[i].list)
			return &k->all[i];
	return NULL;
}

/* The main list, or NULL with why and whether waiting may help. */
static const struct candidate *main_pick(const struct look *k, const struct chain_in *in,
					 struct chain_plan *p)
{
	const struct candidate *first = k->n ? &k->all[0] : NULL;
	const char *of = conflist_copy_of(k->own);

	if (k->own_there && !of && !in->last) {
		err_set(&p->why, -EEXIST,
			CHAIN_FILE " was not written by Sluice: rename or remove it");
		return NULL;
	}
	if (!first) {
		err_set(&p->why, -ENOENT, "%s",
			of ? "the main CNI's configuration is gone: its last copy stays"
			   : "no configuration of a main CNI is there");
		return NULL;
	}
	if (first->list && (k->of || !of || in->settled))
		return first;
	if (!first->list && k->of && k->of->list)
		return k->of;
	if (!first->list && !k->own && in->settled && first_whole(k))
		return first_whole(k);
	p->why = first->err;
	p->pending = first->list || !k->own;
	if (first->list)
		err_set(&p->why, -ENOENT, "%s is gone: its last copy stays for a moment", of);
	return NULL;
}

/* Nothing new to write: but what others did to our file is undone. */
static void plan_hold(const struct look *k, struct chain_plan *p)
{
	const char *of = conflist_copy_of(k->own);

	snprintf(p->main, sizeof(p->main), "%s", of ? of : "");
	if (!k->own_there && k->own_text)
		p->text = mem_strdup(k->own_text);
}

static void plan_copy(const struct look *k, const struct chain_in *in, const struct candidate *main,
		      struct chain_plan *p)
{
	const struct json *old = conflist_copy_of(k->own) ? conflist_entry(k->own) : NULL;
	const struct json *entry = in->entry ? in->entry : old ? old : in->fallback;
	__cleanup_json struct json *copy = conflist_copy(main->list, main->file->name, entry,
							 k->own);

	snprintf(p->main, sizeof(p->main), "%s", main->file->name);
	if (!k->own_there || !json_equal(copy, k->own))
		p->text = conflist_emit(copy);
}

void chain_plan(const struct chain_in *in, struct chain_plan *ret)
{
	__cleanup(look_done) struct look k = {0};
	const struct candidate *main;

	*ret = (struct chain_plan){0};
	look_at(&k, in);
	ret->lost = in->last && (!k.own_there || strcmp(k.own_text, in->last) != 0);
	main = main_pick(&k, in, ret);
	if (main)
		plan_copy(&k, in, main, ret);
	else
		plan_hold(&k, ret);
}

/* ---- judging ---- */

void chain_say(struct chain_verdict *v, bool in_force, const char *reason, const char *fmt, ...)
{
	va_list ap;

	v->in_force = in_force;
	v->reason = reason;
	va_start(ap, fmt);
	vsnprintf(v->message, sizeof(v->message), fmt, ap);
	va_end(ap);
}

static void judge_own(const struct chain_in *in, const struct json *list, struct chain_verdict *v)
{
	__cleanup(chain_plan_done) struct chain_plan p = {0};

	chain_plan(in, &p);
	if (!conflist_entry(list))
		chain_say(v, false, "NotChained", "%s has no entry of ours: run sluiced install",
			  CHAIN_FILE);
	else if (p.why.code)
		chain_say(v, true, "LastGood", "%s is the last good copy: %.400s", CHAIN_FILE,
			  p.why.msg);
	else if (p.text)
		chain_say(v, false, "Stale",
			  "%s is not the copy of %s as it is now: run sluiced install", CHAIN_FILE,
			  p.main);
	else
		chain_say(v, true, "InForce", "%s is the copy of %s", CHAIN_FILE, p.main);
}

static bool cluster_network_chained(const struct chain_in *in, const char *name)
{
	for (size_t i = 0; *name && i < in->dir->n; i++) {
		__cleanup_json struct json *list = NULL;
		const char *network = NULL;

		if (file_parse(&in->dir->files[i], &list, &(struct err){0}) < 0)
			continue;
		json_string(json_get(list, "name"), &network, NULL);
		if (strcmp(in->dir->files[i].name, name) == 0 ||
		    (strcmp(network, name) == 0 && !conflist_delegates(list)))
			return conflist_entry(list) != NULL;
	}
	return false;
}

static void judge_multus(const struct chain_in *in, const char *first, const struct json *list,
			 struct chain_verdict *v)
{
	const char *name;

	if (conflist_delegate_chained(list, &name) || cluster_network_chained(in, name))
		chain_say(v, true, "Delegated", "%s comes first, and its delegate calls us", first);
	else
		chain_say(v, false, "NotDelegated",
			  "%s comes first, and its delegate does not call us: let it be made anew "
			  "from "
			  "%s (restart Multus, or name that file as its main list)",
			  first, CHAIN_FILE);
}

static void judge_other(const struct chain_in *in, const char *first, const struct json *list,
			struct chain_verdict *v)
{
	bool own = false;

	for (size_t i = 0; i < in->dir->n; i++)
		own |= strcmp(in->dir->files[i].name, CHAIN_FILE) == 0;
	if (conflist_delegates(list))
		judge_multus(in, first, list, v);
	else if (conflist_entry(list))
		chain_say(v, true, "Chained", "%s comes first and has our entry", first);
	else if (own)
		chain_say(v, false, "NotFirst",
			  "%s comes before %s, and has no entry of ours: rename it", first,
			  CHAIN_FILE);
	else if (in->dir->taken_away)
		chain_say(v, false, "TakenAway",
			  "%s was renamed to %s.cilium_bak: set cni.exclusive=false for Cilium",
			  CHAIN_FILE, CHAIN_FILE);
	else
		chain_say(v, false, "Missing", "%s is not there: run sluiced install", CHAIN_FILE);
}

void chain_judge(const struct chain_in *in, struct chain_verdict *ret)
{
	const struct chain_file *first = in->dir->n ? in->dir->files : NULL;
	__cleanup_json struct json *list = NULL;
	struct err e = {0};

	*ret = (struct chain_verdict){0};
	if (!first)
		chain_say(ret, false, "NoConfiguration", "no configuration of a main CNI is there");
	else if (file_parse(first, &list, &e) < 0)
		chain_say(ret, false, "Invalid", "%.400s: comes first, and runtimes refuse it",
			  e.msg);
	else if (strcmp(first->name, CHAIN_FILE) == 0)
		judge_own(in, list, ret);
	else
		judge_other(in, first->name, list, ret);
}
