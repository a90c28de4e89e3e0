/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot: written after the kernel is right, so whoever resolves a pod with it
 * finds the program that it names. Written only when it says something new.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/mem.h"
#include "reconcile/priv.h"

#define SNAPSHOT     "snapshot"
#define SNAPSHOT_MAX (1u << 30)
/* As which an image is told from the one before: what it says is the matter, not when. */
#define GENERATION_NONE 0

static size_t programs_list(const struct reconcile *r, struct image_program **ret)
{
	struct image_program *out;
	const struct ids_policy *list;
	int64_t now = time(NULL);
	size_t n, kept = 0;

	list = ids_policy_list(r->ids, &n);
	out = mem_alloc0(n * sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		if (!tables_has(r->tables, list[i].id) ||
		    (list[i].unused_since && now - list[i].unused_since > PROG_HIDE_AFTER))
			continue;
		out[kept++] = (struct image_program){list[i].key, list[i].id};
	}
	*ret = out;
	return kept;
}

/* Pods' labels are in it: nobody may be able to make one look like another. */
static uint64_t snapshot_digest(const struct iovec *list, size_t n)
{
	struct digest d;

	digest_begin(&d);
	for (size_t i = 0; i < n; i++)
		digest_add(&d, list[i].iov_base, list[i].iov_len);
	return digest_end(&d) | 1;
}

/* What an earlier process left: its generation goes on, and equal content is not written again. */
static void published_load(struct reconcile *r)
{
	struct image_info info;
	struct image img;
	__cleanup_free char *data = NULL;
	size_t len = 0;

	if (atomic_file_load(journal_state_dirfd(r->journal), SNAPSHOT, SNAPSHOT_MAX, &data, &len,
			     NULL) < 0)
		return;
	if (image_open(&img, data, len, NULL) < 0)
		return;
	image_info_get(&img, &info);
	r->generation = info.generation;
	image_set_generation(data, len, GENERATION_NONE);
	r->published = snapshot_digest(&(struct iovec){data, len}, 1);
}

struct content {
	struct image_program *programs;
	size_t n;
	uint64_t of; /* what the image is made of */
};

static void content_done(struct content *c)
{
	free(c->programs);
}

static void content_make(const struct reconcile *r, struct content *c)
{
	const uint64_t inputs[] = {
		r->compiled_serial,
		r->policies.fingerprint,
		r->desired->model->config.mark_mask,
	};

	c->n = programs_list(r, &c->programs);
	c->of = hash_bytes(inputs, sizeof(inputs), 1);
	for (size_t i = 0; i < c->n; i++) {
		const uint64_t v[] = {c->programs[i].key, c->programs[i].policy};

		c->of = hash_bytes(v, sizeof(v), c->of);
	}
	c->of |= 1;
}

static void image_make(const struct reconcile *r, const struct content *c, uint64_t generation,
		       struct image_pieces *ret)
{
	const struct image_info info = {
		.generation = generation,
		.fingerprint = r->policies.fingerprint,
		.digest = compiled_digest(r->compiled),
		.mark_mask = r->desired->model->config.mark_mask,
		.source_exempt = (const char *const *)r->conf->source_exempt,
		.n_source_exempt = r->conf->n_source_exempt,
	};

	image_pieces_build(r->compiled, &info, c->programs, c->n, ret);
}

static int snapshot_store(struct reconcile *r, const struct content *c, struct err *e)
{
	__cleanup(image_pieces_done) struct image_pieces p;
	int rc;

	image_make(r, c, r->generation + 1, &p);
	rc = atomic_file_store_pieces(journal_state_dirfd(r->journal), SNAPSHOT, p.list,
				      IMAGE_PIECES, 0644, e);
	if (rc == 0)
		r->generation++;
	return rc;
}

/* The digest of an image of this moment. It takes longer than all else of it: once for each. */
static uint64_t content_digest(const struct reconcile *r, const struct content *c)
{
	__cleanup(image_pieces_done) struct image_pieces p;

	image_make(r, c, GENERATION_NONE, &p);
	return snapshot_digest(p.list, IMAGE_PIECES);
}

static int content_store(struct reconcile *r, const struct content *c, struct err *e)
{
	uint64_t digest = content_digest(r, c);
	int rc = digest == r->published ? 0 : snapshot_store(r, c, e);

	if (rc == 0)
		r->published = digest;
	return rc;
}

int publish(struct reconcile *r, struct err *e)
{
	__cleanup(content_done) struct content c = {0};
	int rc = 0;

	if (!r->published)
		published_load(r);
	content_make(r, &c);
	if (c.of != r->published_of)
		rc = content_store(r, &c, e);
	if (rc < 0)
		return rc;
	r->published_of = c.of;
	r->unpublished = false;
	return 0;
}

bool reconcile_unpublished(const struct reconcile *r)
{
	return r->unpublished;
}
