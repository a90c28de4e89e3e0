/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Says when a folder of policy files may have changed: 50 ms after the last of a
 * burst of events, and at most 500 ms after its first. The folder, and any part
 * of its path, may be a symlink, appear later, vanish and come again. To miss
 * nothing: make the watch first, then read.
 */
#include "base/err.h"
#include "loop/loop.h"

struct file_watch;

int file_watch_new(struct loop *l, const char *path, void (*changed)(void *data), void *data,
		   struct file_watch **ret, struct err *e);
/* The same of one file of any name; changed() is also called where it may be as it was. */
int file_watch_one(struct loop *l, const char *path, void (*changed)(void *data), void *data,
		   struct file_watch **ret, struct err *e);
void file_watch_free(struct file_watch *w); /* not from within changed() */
