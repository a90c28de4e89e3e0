/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes that come one after the other, up to a limit. {0} is empty. */
#include <stdbool.h>
#include <stddef.h>

struct kube_buf {
	char *p;
	size_t n, room;
};

/* false: it would be more than max, and nothing was added. */
bool kube_buf_add(struct kube_buf *b, const char *p, size_t n, size_t max);
void kube_buf_clear(struct kube_buf *b); /* gives back what is large */
void kube_buf_done(struct kube_buf *b);
