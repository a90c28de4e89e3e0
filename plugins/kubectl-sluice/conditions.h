/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an object of the API says of itself in status.conditions. */
#include "json/json.h"

const struct json *condition_of(const struct json *object, const char *type); /* or NULL */
bool condition_is(const struct json *condition, const char *status);	      /* "True" */
/* It is about an earlier version of the object. */
bool condition_is_stale(const struct json *object, const struct json *condition);
