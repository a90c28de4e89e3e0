/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/last_good.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "json/json.h"
#include "policy/hash_index.h"
#include "reconcile/object_log.h"

#define LAST_GOOD_LOG	  "last-good.log"
#define LAST_GOOD_VERSION 1
#define REWRITE_SLACK	  (1 << 20)

/* A text that the log has. */
struct logged {
	size_t text_len;
	char *text; /* NULL unless it is to be given out */
	struct object_log_line line;
	bool named; /* by the files in force */
};

struct last_good {
	struct object_log *log;
	struct hash_index hashes; /* of texts */
	struct logged *texts;
	size_t n;
	bool with_texts;
	char *files; /* the line that counts; NULL: none yet */
	struct object_log_line files_line;
};

/* HASH-LENGTH */
struct text_id {
	char s[40];
};

static struct text_id text_id(uint64_t hash, size_t len)
{
	struct text_id id;

	snprintf(id.s, sizeof(id.s), "%016" PRIx64 "-%zx", hash, len);
	return id;
}

static struct logged *text_find(const struct last_good *g, uint64_t hash, size_t len)
{
	for (uint32_t i = hash_index_first(&g->hashes, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&g->hashes, i))
		if (g->texts[i].text_len == len)
			return &g->texts[i];
	return NULL;
}

static struct logged *text_add(struct last_good *g, uint64_t hash, size_t len)
{
	hash_index_add(&g->hashes, hash);
	MEM_GROW(g->texts, g->n);
	g->texts[g->n] = (struct logged){.text_len = len};
	return &g->texts[g->n++];
}

/* ---- reading ---- */

static void text_read(struct last_good *g, const char *text, struct object_log_line line)
{
	size_t n = strlen(text);
	uint64_t hash = hash_bytes(text, n, 0);
	struct logged *t = text_find(g, hash, n) ?: text_add(g, hash, n);

	t->line = line;
	if (g->with_texts && !t->text)
		t->text = mem_strdup(text);
}

static void line_read(void *data, const struct json *j, struct object_log_line line)
{
	struct last_good *g = data;
	int64_t version;
	const char *text;

	if (json_string(json_get(j, "text"), &text, NULL) == 0) {
		text_read(g, text, line);
		return;
	}
	free(g->files);
	g->files = NULL; /* of a later version: nothing is known */
	if (json_int(json_get(j, "version"), 1, LAST_GOOD_VERSION, &version, NULL) < 0)
		return;
	g->files = json_emit(j, 0);
	g->files_line = line;
}

static int open_log(int state_fd, bool writable, struct last_good **ret, struct err *e)
{
	__cleanup(last_good_freep) struct last_good *g = mem_alloc0(sizeof(*g));
	const struct object_log_in in = {state_fd, LAST_GOOD_LOG, writable, line_read, g};
	bool damaged; /* then the last files that stand whole count */
	int r;

	g->with_texts = !writable;
	r = object_log_open(&in, &g->log, &damaged, e);
	if (r < 0)
		return r;
	*ret = TAKE(g);
	return 0;
}

static bool file_load(const struct last_good *g, const struct json *o, struct folder *f)
{
	const struct logged *t;
	const char *name, *id;
	uint64_t hash;
	size_t len;

	if (json_string(json_get(o, "name"), &name, NULL) < 0 ||
	    json_string(json_get(o, "text"), &id, NULL) < 0 ||
	    sscanf(id, "%" SCNx64 "-%zx", &hash, &len) != 2)
		return false;
	t = text_find(g, hash, len);
	if (!t)
		return false;
	MEM_GROW(f->files, f->n);
	f->files[f->n++] = (struct folder_file){
		.name = mem_strdup(name), .data = mem_strdup(t->text), .len = len, .hash = hash};
	return true;
}

int last_good_load(int state_fd, struct folder *ret, struct err *e)
{
	__cleanup(last_good_freep) struct last_good *g = NULL;
	__cleanup_folder struct folder f = {0};
	__cleanup_json struct json *line = NULL;
	const struct json *files;
	int r = open_log(state_fd, false, &g, e);

	if (r == 0 && !g->files)
		r = err_set(e, -ENOENT, LAST_GOOD_LOG ": no policies were kept");
	if (r == 0)
		r = json_parse(g->files, strlen(g->files), &line, e);
	if (r < 0)
		return r;
	files = json_get(line, "files");
	for (size_t i = 0; i < json_len(files); i++)
		if (!file_load(g, json_at(files, i), &f))
			return err_set(e, -ENOENT, LAST_GOOD_LOG ": file %zu is not whole", i);
	*ret = f;
	f = (struct folder){0};
	return 0;
}

/* ---- writing ---- */

static int text_store(struct last_good *g, const char *dir, struct folder_file *f, struct err *e)
{
	struct logged *t = text_find(g, f->hash, f->len);
	__cleanup_json struct json *line = NULL;
	__cleanup_free char *emitted = NULL;
	int r;

	if (t)
		return 0;
	r = f->data ? 0 : folder_fill(dir, f, e);
	if (r < 0)
		return r;
	line = json_new_object();
	json_set(line, "text", json_new_string(f->data));
	t = text_add(g, f->hash, f->len);
	emitted = json_emit(line, 0);
	t->line = object_log_append(g->log, emitted);
	return 0;
}

static struct json *files_line(const struct folder *f)
{
	struct json *line = json_new_object(), *files = json_new_array();

	json_set(line, "version", json_new_int(LAST_GOOD_VERSION));
	json_set(line, "files", files);
	for (size_t i = 0; i < f->n; i++) {
		struct json *o = json_new_object();

		json_set(o, "name", json_new_string(f->files[i].name));
		json_set(o, "text", json_new_string(text_id(f->files[i].hash, f->files[i].len).s));
		json_append(files, o);
	}
	return line;
}

static void files_name(struct last_good *g, const struct folder *f)
{
	for (size_t i = 0; i < g->n; i++)
		g->texts[i].named = false;
	for (size_t i = 0; i < f->n; i++)
		text_find(g, f->files[i].hash, f->files[i].len)->named = true;
}

/* *anew: most of the log is out of date, and was left out. */
static int log_clean(struct last_good *g, const struct folder *f, bool *anew, struct err *e)
{
	__cleanup_free struct object_log_line **lines = mem_alloc0((g->n + 1) * sizeof(*lines));
	int64_t needed = 0;
	size_t n = 0;

	files_name(g, f);
	for (size_t i = 0; i < g->n; i++)
		if (g->texts[i].named) {
			lines[n++] = &g->texts[i].line;
			needed += g->texts[i].line.len;
		}
	lines[n++] = &g->files_line;
	*anew = object_log_size(g->log) > 2 * needed + REWRITE_SLACK;
	return *anew ? object_log_rewrite(g->log, lines, n, e) : 0;
}

static int store(struct last_good *g, const char *dir, struct folder *f, bool *anew, struct err *e)
{
	__cleanup_json struct json *line = NULL;
	__cleanup_free char *files = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->n; i++)
		r = text_store(g, dir, &f->files[i], e);
	if (r < 0)
		return r;
	line = files_line(f);
	files = json_emit(line, 0);
	if (g->files && strcmp(g->files, files) == 0)
		return 0;
	free(g->files);
	g->files = TAKE(files);
	g->files_line = object_log_append(g->log, g->files);
	r = object_log_sync(g->log, e);
	return r < 0 ? r : log_clean(g, f, anew, e);
}

int last_good_store(struct last_good **g, int state_fd, const char *dir, struct folder *f,
		    struct err *e)
{
	bool anew = false;
	int r = *g ? 0 : open_log(state_fd, true, g, e);

	if (r == 0)
		r = store(*g, dir, f, &anew, e);
	if (r == 0 && !anew)
		return 0;
	last_good_free(*g); /* what stands where is read again */
	*g = NULL;
	return r;
}

void last_good_free(struct last_good *g)
{
	if (!g)
		return;
	object_log_free(g->log);
	hash_index_done(&g->hashes);
	for (size_t i = 0; i < g->n; i++)
		free(g->texts[i].text);
	free(g->texts);
	free(g->files);
	free(g);
}
