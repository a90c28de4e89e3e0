/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/objects_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/json.h"

int store_make(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/slXXXXXX");
	*state = f;
	if (!mkdtemp(f->dir))
		return -1;
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return objects_new(f->fd, true, &f->o, NULL);
}

int store_remove(void **state)
{
	struct fixture *f = *state;

	doc_set_free(f->set);
	objects_free(f->o);
	objects_log_remove(f->fd);
	close(f->fd);
	rmdir(f->dir);
	free(f);
	return 0;
}

void put(struct fixture *f, enum collection c, const char *text)
{
	__cleanup_json struct json *j = NULL;
	struct err e = {0};

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	objects_put(f->o, c, j);
}

void sync_all(struct fixture *f)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (c != OBJECTS_SERVICES)
			objects_synced(f->o, c);
}
