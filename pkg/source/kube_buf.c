/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEPT_MAX (64 * 1024)

bool kube_buf_add(struct kube_buf *b, const char *p, size_t n, size_t max)
{
	if (n > max || b->n > max - n)
		return false;
	if (b->n + n > b->room) {
		size_t room = b->room ? b->room : 1024;

		while (room < b->n + n)
			room *= 2;
		b->p = mem_resize(b->p, room, 1);
		b->room = room;
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

void kube_buf_clear(struct kube_buf *b)
{
	if (b->room > KEPT_MAX)
		kube_buf_done(b);
	b->n = 0;
}

void kube_buf_done(struct kube_buf *b)
{
	free(b->p);
	*b = (struct kube_buf){0};
}
