/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer entry. json-c is the oracle: what our reader takes, json-c's strict
 * mode takes too, and what we write we read back as the same tree.
 */
#include <stdlib.h>
#include <string.h>

#define json_type jsonc_type /* names both libraries have */
#define json_bool jsonc_bool
#include <json-c/json.h>
#undef json_type
#undef json_bool

#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_oracle(const char *text, size_t len)
{
	struct json_tokener *t = json_tokener_new_ex(JSON_MAX_DEPTH + 1);

	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object_put(json_tokener_parse_ex(t, text, (int)len + 1)); /* the NUL ends a number */
	if (json_tokener_get_error(t) != json_tokener_success)
		abort();
	json_tokener_free(t);
}

static void check_round_trip(const struct json *j)
{
	__cleanup_json struct json *again = NULL;
	__cleanup_free char *text = json_emit(j, 0);

	if (json_parse(text, strlen(text), &again, NULL) < 0 || !json_equal(j, again))
		abort();
	check_oracle(text, strlen(text));
}

/* What is left out is read as strictly as what is not, but for names given twice. */
static void check_wanted(const char *data, size_t size)
{
	static const struct json_want nothing[] = {{NULL, NULL}};
	__cleanup_json struct json *all = NULL, *none = NULL;
	struct err e = {0};
	int r = json_parse(data, size, &all, &e);

	if (json_parse_wanted(data, size, nothing, &none, NULL) < 0
		    ? r == 0
		    : r < 0 && !strstr(e.msg, "given twice"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup_free char *text = strndup((const char *)data, size);
	__cleanup_json struct json *j = NULL;
	struct json *doc = NULL;
	struct yaml *y = NULL;
	struct err e;

	check_wanted((const char *)data, size);
	if (json_parse((const char *)data, size, &j, &e) == 0) {
		check_oracle(text, strlen(text));
		check_round_trip(j);
	}
	yaml_open((const char *)data, size, &y, &e);
	while (yaml_next(y, &doc, &e) == 0 && doc) {
		check_round_trip(doc);
		json_free(doc);
		doc = NULL;
	}
	yaml_close(y);
	return 0;
}
