/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/policy_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);

struct piece {
	uint64_t hash; /* of its text */
	size_t len;
	struct doc_set *set;
};

struct policy_file {
	char *name;
	struct piece *pieces;
	size_t n;
	struct doc_set *set; /* of all pieces */
	size_t n_shared;
};

static void file_free(struct policy_file *f)
{
	if (f->n_shared) {
		f->n_shared--;
		return;
	}
	free(f->name);
	for (size_t i = 0; i < f->n; i++)
		doc_set_free(f->pieces[i].set);
	free(f->pieces);
	doc_set_free(f->set);
	free(f);
}

void policy_files_done(struct policy_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		file_free(files->items[i]);
	free(files->items);
	folder_done(&files->seen);
	doc_set_free(files->whole);
	*files = (struct policy_files){0};
}

static int compare_file(const void *name, const void *file)
{
	return strcmp(name, (*(const struct policy_file *const *)file)->name);
}

static struct policy_file *file_find(const struct policy_files *files, const char *name)
{
	struct policy_file **at = files->n ? bsearch(name, files->items, files->n,
						     sizeof(*files->items), compare_file)
					   : NULL;

	return at ? *at : NULL;
}

/* ---- pieces ---- */

static bool piece_same(const struct piece *a, const struct piece *b)
{
	return a->hash == b->hash && a->len == b->len;
}

static void piece_take(struct piece *p, const struct piece *old)
{
	if (piece_same(p, old))
		p->set = doc_set_ref(old->set);
}

/* What the file begins and ends with as before; in between, what is in its old place. Each old
 * piece is taken once at most: two objects of one text are two. */
static void pieces_take(struct policy_file *f, const struct policy_file *old)
{
	size_t first = 0, last = 0, least = f->n < old->n ? f->n : old->n;

	for (; first < least && piece_same(&f->pieces[first], &old->pieces[first]); first++)
		piece_take(&f->pieces[first], &old->pieces[first]);
	for (; last < least - first &&
	       piece_same(&f->pieces[f->n - 1 - last], &old->pieces[old->n - 1 - last]);
	     last++)
		piece_take(&f->pieces[f->n - 1 - last], &old->pieces[old->n - 1 - last]);
	for (size_t i = first; f->n == old->n && i < f->n - last; i++)
		piece_take(&f->pieces[i], &old->pieces[i]);
}

static int piece_parse(struct piece *p, const struct doc_piece *text, const char *path,
		       const struct doc_set *beside, struct err *e)
{
	p->set = doc_set_new();
	if (beside)
		doc_set_share_zones(p->set, beside);
	return doc_set_add_text(p->set, path, text->text, text->len, e);
}

static int pieces_parse(struct policy_file *f, const struct doc_piece *texts, const char *path)
{
	const struct doc_set *beside = NULL;
	struct err e = {0};

	for (size_t i = 0; i < f->n; i++) {
		if (!f->pieces[i].set) {
			int r = piece_parse(&f->pieces[i], &texts[i], path, beside, &e);

			if (r < 0)
				return r;
			beside = f->pieces[i].set;
		}
		doc_set_move(f->pieces[i].set, texts[i].before);
	}
	return 0;
}

/* ---- files ---- */

static void file_join(struct policy_file *f)
{
	f->set = doc_set_new();
	for (size_t i = 0; i < f->n; i++)
		doc_set_add_part(f->set, f->pieces[i].set);
}

/* The whole says what is wrong with it, and where. */
static int file_parse_whole(struct policy_file *f, const char *path, const struct folder_file *text,
			    struct err *e)
{
	for (size_t i = 0; i < f->n; i++)
		doc_set_free(f->pieces[i].set);
	f->n = 1;
	f->pieces[0] = (struct piece){.len = SIZE_MAX, .set = doc_set_new()};
	return doc_set_add_text(f->pieces[0].set, path, text->data, text->len, e);
}

static int file_parse(struct policy_file *f, const struct policy_file *old, const char *path,
		      const struct folder_file *text, struct err *e)
{
	__cleanup_free struct doc_piece *texts = NULL;
	int r;

	f->n = doc_text_pieces(path, text->data, text->len, &texts);
	f->pieces = mem_alloc0(f->n * sizeof(*f->pieces));
	for (size_t i = 0; i < f->n; i++)
		f->pieces[i] = (struct piece){.hash = hash_bytes(texts[i].text, texts[i].len, 0),
					      .len = texts[i].len};
	if (old)
		pieces_take(f, old);
	r = pieces_parse(f, texts, path);
	if (r < 0)
		r = file_parse_whole(f, path, text, e);
	if (r == 0)
		file_join(f);
	return r;
}

/* What it holds, from the last time as far as its text is still the same. */
static int file_read(const struct policy_files *files, const char *dir,
		     const struct folder_file *text, struct policy_file **ret, struct err *e)
{
	struct policy_file *old = file_find(files, text->name);
	__cleanup_free char *path = NULL;

	if (!text->data && old) {
		old->n_shared++;
		*ret = old;
		return 0;
	}
	path = mem_printf("%s/%s", dir, text->name);
	*ret = mem_alloc0(sizeof(**ret));
	(*ret)->name = mem_strdup(text->name);
	return text->data ? file_parse(*ret, old, path, text, e)
			  : err_set(e, -EINVAL, "%s: not read", path);
}

int policy_files_parse(struct policy_files *files, const char *dir, const struct folder *folder,
		       struct doc_set **ret, struct err *e)
{
	__cleanup(doc_set_freep) struct doc_set *set = doc_set_new();
	__cleanup(policy_files_done) struct policy_files now = {
		.items = mem_alloc0(folder->n * sizeof(*now.items))};
	int r = 0;

	while (r == 0 && now.n < folder->n) {
		const struct folder_file *f = &folder->files[now.n];

		r = file_read(files, dir, f, &now.items[now.n], e);
		now.n++;
	}
	for (size_t i = 0; r == 0 && i < now.n; i++)
		doc_set_add_part(set, now.items[i]->set);
	if (r == 0)
		r = doc_set_finish_after(set, files->whole, e);
	if (r < 0)
		return r;
	folder_remember(folder, &now.seen);
	policy_files_done(files);
	*files = now;
	files->whole = doc_set_ref(set);
	now = (struct policy_files){0};
	*ret = TAKE(set);
	return 0;
}
