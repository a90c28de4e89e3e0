/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry: any text as a policy file; a refusal must name its place on one line. */
#include <stdlib.h>
#include <string.h>

#include "policy/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(const char *file, const uint8_t *data, size_t size)
{
	struct doc_set *set = doc_set_new();
	struct err e = {0};
	int r = doc_set_add_text(set, file, (const char *)data, size, &e);

	if (r == 0)
		r = doc_set_finish(set, &e);
	if (r < 0 && (strncmp(e.msg, file, strlen(file)) != 0 || strchr(e.msg, '\n')))
		abort();
	doc_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_as("a.yaml", data, size);
	read_as("a.json", data, size);
	return 0;
}
