/* SPDX-License-Identifier: Apache-2.0 */
#include "conditions.h"

#include <string.h>

#include "../sluicectl/text.h"

const struct json *condition_of(const struct json *object, const char *type)
{
	const struct json *list = json_get(json_get(object, "status"), "conditions");

	for (size_t i = 0; i < json_len(list); i++) {
		const char *its = text_of(json_at(list, i), "type");

		if (its && strcmp(its, type) == 0)
			return json_at(list, i);
	}
	return NULL;
}

bool condition_is(const struct json *condition, const char *status)
{
	const char *its = text_of(condition, "status");

	return its && strcmp(its, status) == 0;
}

bool condition_is_stale(const struct json *object, const struct json *condition)
{
	return json_get(condition, "observedGeneration") &&
	       int_of(condition, "observedGeneration") !=
		       int_of(json_get(object, "metadata"), "generation");
}
