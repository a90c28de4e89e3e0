/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer entry. The oracle is the strict reader on the whole: a document that it takes as a
 * list of objects comes out of the splitter as the same items and the same envelope, however the
 * bytes are torn (the size says how); what is no document must not be taken for one.
 * What is peeked at in a document is what stands there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "source/kube_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pieces {
	struct json **items;
	size_t n, bytes;
	bool bad; /* one that cannot be read */
};

static int take(void *data, const char *text, size_t n, bool cut, struct err *e)
{
	struct pieces *p = data;
	struct json *j = NULL;

	p->bytes += n;
	if (cut || json_parse(text, n, &j, NULL) < 0) {
		p->bad = true;
		return 0;
	}
	p->items = realloc(p->items, (p->n + 1) * sizeof(*p->items));
	p->items[p->n++] = j;
	return 0;
}

static int count(void *data, const char *text, size_t n, bool cut, struct err *e)
{
	if (!n || n > 64 || memchr(text, '\n', n))
		abort();
	*(size_t *)data += n;
	return 0;
}

static void done(struct pieces *p)
{
	for (size_t i = 0; i < p->n; i++)
		json_free(p->items[i]);
	free(p->items);
}

/* A document whose "items" are objects and spelled so. */
static bool is_list(const struct json *whole, const char *text, size_t size)
{
	const struct json *items = json_get(whole, "items");

	if (json_type(items) != JSON_ARRAY || memmem(text, size, "\\u", 2))
		return false;
	for (size_t i = 0; i < json_len(items); i++)
		if (json_type(json_at(items, i)) != JSON_OBJECT)
			return false;
	return true;
}

static void compare(struct json *whole, const struct pieces *p, const struct json *envelope)
{
	const struct json *items = json_get(whole, "items");

	if (p->bad || !envelope || p->n != json_len(items))
		abort();
	for (size_t i = 0; i < p->n; i++)
		if (!json_equal(p->items[i], json_at(items, i)))
			abort();
	json_set(whole, "items", json_new_array());
	if (!json_equal(whole, envelope))
		abort();
}

static void check_list(const char *text, size_t size, size_t step)
{
	__cleanup_json struct json *whole = NULL, *envelope = NULL;
	struct pieces p = {0};
	struct kube_split s = {.piece = take, .data = &p};
	int r = 0;

	for (size_t at = 0; at < size && r == 0; at += step)
		r = kube_split_feed(&s, text + at, size - at < step ? size - at : step, NULL);
	if (r == 0)
		r = kube_split_end(&s, &envelope, NULL);
	kube_split_done(&s);
	if (json_parse(text, size, &whole, NULL) == 0) {
		if (is_list(whole, text, size))
			compare(whole, &p, envelope);
	} else if (r == 0 && !p.bad && p.bytes == 0) {
		abort();
	}
	done(&p);
}

static void check_peek(const char *text, size_t size)
{
	static const char *const path[] = {"metadata", "name", NULL};
	__cleanup_json struct json *whole = NULL;
	const char *name;
	char found[64];
	bool seen = kube_peek(text, size, path, found, sizeof(found));

	if (json_parse(text, size, &whole, NULL) < 0 || memmem(text, size, "\\", 1))
		return;
	if (json_string(json_get(json_get(whole, "metadata"), "name"), &name, NULL) < 0) {
		if (seen)
			abort();
	} else if (seen && strcmp(found, name) != 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t counted = 0, step = size % 16 + 1;
	struct kube_lines l = {.piece = count, .data = &counted, .max = 64};
	const char *text = (const char *)data;

	check_list(text, size, step);
	check_list(text, size, size + 1);
	check_peek(text, size);
	for (size_t at = 0; at < size; at += step)
		kube_lines_feed(&l, text + at, size - at < step ? size - at : step, NULL);
	kube_lines_done(&l);
	return counted > size ? (abort(), 0) : 0;
}
