/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a policy file: a refusal must name its place on one line, and what is taken compiles
 * and goes through an image, or is refused there with words.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/image.h"
#include "testkit/policy_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compile(struct doc_set *set)
{
	const struct image_info info = {.generation = 1};
	struct policy_fixture f;
	struct err e = {0};
	uint8_t *bytes = NULL;
	struct image img;
	size_t len;

	policy_fixture_node(&f, "n1", "eth0 203.0.113.1/24 2001:db8::1/64");
	if (policy_compile(set, &f.node, &f.c, &e) < 0) {
		if (!*e.msg || strchr(e.msg, '\n'))
			abort();
		return;
	}
	if (image_build(f.c, &info, NULL, 0, &bytes, &len) < 0 ||
	    image_open(&img, bytes, len, NULL) < 0)
		abort();
	free(bytes);
	compiled_free(f.c);
}

/* Who reads on behind mistakes names the same first one, and none in what is right. */
static void mistakes_agree(const char *file, const uint8_t *data, size_t size, int r,
			   const struct err *e)
{
	struct doc_mistakes all;

	doc_text_mistakes(file, (const char *)data, size, &all);
	if ((r < 0) != (all.n > 0) || (r < 0 && strcmp(all.items[0], e->msg) != 0))
		abort();
	for (size_t i = 0; i < all.n; i++)
		if (strncmp(all.items[i], file, strlen(file)) != 0 || strchr(all.items[i], '\n'))
			abort();
	doc_mistakes_done(&all);
}

static void read_as(const char *file, const uint8_t *data, size_t size)
{
	struct doc_set *set = doc_set_new();
	struct err e = {0};
	int r = doc_set_add_text(set, file, (const char *)data, size, &e);

	mistakes_agree(file, data, size, r, &e);
	if (r == 0)
		r = doc_set_finish(set, &e);
	if (r < 0 && (strncmp(e.msg, file, strlen(file)) != 0 || strchr(e.msg, '\n')))
		abort();
	if (r == 0)
		compile(set);
	doc_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_as("a.yaml", data, size);
	read_as("a.json", data, size);
	return 0;
}
