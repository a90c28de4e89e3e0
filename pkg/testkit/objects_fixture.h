/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A store of objects in a folder of the test's own, *state of a test. */
#include "reconcile/objects.h"

struct fixture {
	char dir[64];
	int fd;
	struct objects *o;
	struct doc_set *set; /* the test's, NULL at first; freed with the rest */
};

int store_make(void **state);
int store_remove(void **state);
/* An object as the API tells it. */
void put(struct fixture *f, enum collection c, const char *text);
/* All collections are told, empty but for what the test puts. */
void sync_all(struct fixture *f);
