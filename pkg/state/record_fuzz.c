/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes are a record or an error; what was read is written and read again as the same text. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "state/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(record_freep) struct record *a = NULL;
	__cleanup(record_freep) struct record *b = NULL;
	__cleanup_free char *text = NULL;
	__cleanup_free char *again = NULL;
	struct err e = {0};

	if (record_parse((const char *)data, size, &a, &e) < 0)
		return 0;
	text = record_emit(a);
	assert(record_parse(text, strlen(text), &b, &e) == 0);
	again = record_emit(b);
	assert(strcmp(text, again) == 0);
	return 0;
}
