/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API says, line by line: objects of its lists and events of its watches as bytes, of
 * any collection, in any order with the beginnings and ends of lists. The store stays in order,
 * what is in force compiles, and a daemon that starts on the log that was kept has the same.
 *
 * The first letter of a line chooses what it is, the second the collection.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/image.h"
#include "reconcile/objects_priv.h"
#include "source/kube_watch_priv.h"
#include "testkit/policy_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int folder;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char path[] = "objects-XXXXXX";

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, NULL, NULL);
	assert(mkdtemp(path));
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0;
}

/* Nobody cuts the power here. */
int fsync(int fd)
{
	return 0;
}

int fdatasync(int fd)
{
	return 0;
}

/* ---- one who listens, as api.c does ---- */

struct listener {
	struct objects *o;
	enum collection c;
};

static void on_begin(void *data)
{
	struct listener *l = data;

	objects_begin(l->o, l->c);
}

static void on_object(void *data, const struct json *object)
{
	struct listener *l = data;

	objects_put(l->o, l->c, object);
}

static void on_gone(void *data, const char *namespace, const char *name, const char *version)
{
	struct listener *l = data;

	objects_gone(l->o, l->c, namespace, name, version);
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	struct listener *l = data;

	assert(*e->msg);
	objects_unreadable(l->o, l->c, namespace, name, e);
}

static void on_synced(void *data)
{
	struct listener *l = data;

	objects_synced(l->o, l->c);
}

static const struct kube_watch_ops ops = {
	.begin = on_begin,
	.object = on_object,
	.gone = on_gone,
	.unreadable = on_unreadable,
	.synced = on_synced,
};

static void listen_to(struct listener *l, char how, const char *text, size_t n)
{
	static char path[] = "/apis";
	struct kube_watch w = {.path = path, .ops = &ops, .data = l, .version = mem_strdup("1")};
	struct err e = {0};
	int r = 0;

	kube_watch_want(&w, objects_want(l->c));
	if (how % 4 == 0)
		r = kube_watch_item(&w, text, n, false, &e);
	else if (how % 4 == 1)
		r = kube_watch_event(&w, text, n, false, &e);
	else if (how % 4 == 2)
		on_begin(l);
	else
		on_synced(l);
	assert(r == 0 || *e.msg);
	free(w.version);
}

/* ---- what must hold ---- */

static void check_order(const struct objects *o)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		for (size_t i = 0; i < objects_count(o, c); i++) {
			const struct object *obj = objects_at(o, c, i);

			assert(objects_find(o, c, obj->namespace, obj->name) == obj);
			assert(c == OBJECTS_PODS || !(obj->has_v4 || obj->has_v6));
			assert(obj->good || obj->more->refused);
		}
}

/* What is in force, as a digest; 0: nothing new is. */
static uint64_t digest_of(struct objects *o)
{
	__cleanup_free uint8_t *bytes = NULL;
	struct policy_fixture f;
	struct image_info info = {0};
	struct err e = {0};
	uint64_t digest;
	struct image img;
	size_t len;

	policy_fixture_node(&f, "n1", "eth0 172.31.7.11/24 fd31:7::11/64");
	if (objects_set(o, &f.set) == 0)
		return 0;
	if (policy_compile(f.set, &f.node, &f.c, &e) < 0) {
		assert(*e.msg);
		doc_set_free(f.set);
		return 1;
	}
	digest = compiled_digest(f.c);
	assert(image_build(f.c, &info, NULL, 0, &bytes, &len) == 0);
	assert(image_open(&img, bytes, len, NULL) == 0);
	policy_fixture_done(&f);
	return digest;
}

static void check_again(struct objects *o)
{
	uint64_t before = digest_of(o);
	struct objects *again = NULL;

	assert(objects_keep(o, NULL) == 0);
	assert(objects_new(folder, false, &again, NULL) == 0);
	check_order(again);
	for (enum collection c = 0; c < OBJECTS_N; c++)
		assert(objects_count(again, c) == objects_count(o, c));
	again->changed = again->gateways_changed = true;
	assert(!before || digest_of(again) == before);
	objects_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct objects *o = NULL;

	objects_log_remove(folder);
	assert(objects_new(folder, true, &o, NULL) == 0);
	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at)) ?: end;

		if (nl - at >= 2) {
			struct listener l = {o, (unsigned char)at[1] % OBJECTS_N};

			listen_to(&l, at[0], at + 2, (size_t)(nl - at) - 2);
		}
		at = nl + 1;
	}
	check_order(o);
	for (enum collection c = 0; c < OBJECTS_N; c++)
		objects_synced(o, c);
	check_again(o);
	objects_free(o);
	return 0;
}
